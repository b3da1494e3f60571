"""`python -m tuning.report STUDY`: what a search has found, as one HTML page, as Markdown and as a table.

report.html  everything in one file; it loads nothing from a network
report.md    the same with one picture, the Pareto front (front.png)
trials.csv   a line for each trial
"""

from __future__ import annotations

import collections
import html
import sys
from typing import NamedTuple

from tfcnn import tables
from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput
from tfcnn.files import writing
from tfcnn.tables import printable
from tuning.budgets import format_cost
from tuning.study.folder import Study, add_study
from tuning.study.trials import (
    Objective,
    TrialRecord,
    best_first,
    command_of,
    config_of,
    format_scores,
    format_values,
)

SHOWN = 5  # of the best trials, with one objective
ENOUGH_TRIALS = 20  # completed ones, from which importances say something


class Section(NamedTuple):
    """A part of the report."""

    title: str
    text: str = ""
    table: tuple[list[str], list[list[str]]] | None = None  # head, rows
    picture: str = ""  # SVG


def report(study: Study) -> list[Section]:
    """The sections of the report, in order. Raises BadInput if the study has no trial yet."""
    trials = study.trials()
    objectives = study.objectives()
    if not trials:
        raise BadInput(f"the study in '{study.path}' has no trial yet: python -m tuning.search trains some")
    from tuning.study import plots  # imports Matplotlib and Optuna

    names = [objective.name for objective in objectives]
    sections = [Section("The study", table=(["what", ""], _facts(study, trials)))]
    if best_first(trials, objectives):
        sections += best_sections(trials, objectives)
    if any(len(trial.curve) > 1 for trial in trials):
        sections.append(Section("After each epoch", picture=plots.svg(plots.curves(trials, names[0]))))
    sections.append(_failures(trials))
    seconds = [trial.seconds for trial in trials if trial.seconds is not None]
    if seconds:
        text = f"{len(seconds)} trials took {sum(seconds):,.0f} s, {sum(seconds) / len(seconds):.1f} s each."
        sections.append(Section("Timing", text, picture=plots.svg(plots.timing(trials))))
    head = ["trial", "state", *names, "seconds", "values", "reason"]
    rows = []
    for trial in trials:
        scores = format_scores(objectives, trial.scores) if trial.scores else [""] * len(names)
        row = [str(trial.number), trial.state.lower(), *scores, _seconds(trial)]
        rows.append([*row, format_values(trial.values), trial.reason or ""])
    sections.append(Section("All trials", table=(head, rows)))
    return sections


def best_sections(trials: list[TrialRecord], objectives: list[Objective]) -> list[Section]:
    """What there is to say where at least one trial is completed."""
    from tuning.study import plots

    several = len(objectives) > 1
    best = best_first(trials, objectives)
    shown = best if several else best[:SHOWN]
    head = ["trial", *(objective.name for objective in objectives), "values", "seconds"]
    rows = [[str(t.number), *format_scores(objectives, t.scores), format_values(t.values), _seconds(t)] for t in shown]
    if several:
        volume, bound = plots.hypervolume(trials, objectives)
        point = ", ".join(format_scores(objectives, bound))
        text = f"Hypervolume {volume:.6g}, bounded by the worst values of the completed trials ({point})."
        picture = plots.svg(plots.front(trials, objectives))
        sections = [Section("The Pareto front", text, (head, rows), picture)]
    else:
        sections = [Section("The best", table=(head, rows))]
    commands = [[str(trial.number), f"`{command_of(config_of(trial))}`"] for trial in shown]
    sections.append(Section("The commands that train them", table=(["trial", "command"], commands)))
    sections.append(Section("Best so far", picture=plots.svg(plots.best_so_far(trials, objectives))))
    if plots.as_optuna(trials, objectives).trials[0].params:
        sections.append(Section("Parallel coordinates", picture=plots.svg(plots.parallel(trials, objectives))))
    importances = plots.importances(trials, objectives)
    if importances:
        text = "The share of the score's variance that each value accounts for (fANOVA)."
        completed = sum(trial.state == "COMPLETED" for trial in trials)
        if completed < ENOUGH_TRIALS:
            text += (
                f" Caution: {completed} completed trials are few; from fewer than {ENOUGH_TRIALS} the shares are "
                "mostly chance, and other trials would give others."
            )
        picture = plots.svg(plots.importance_bars(importances))
        names = list(dict.fromkeys(name for shares in importances.values() for name in shares))
        rows = [[name, *(f"{shares.get(name, 0):.1%}" for shares in importances.values())] for name in names]
        sections.append(Section("Importances", text, (["value", *importances], rows), picture))
    return sections


def _facts(study: Study, trials: list[TrialRecord]) -> list[list[str]]:
    spec = study.spec()
    config = spec["config"]
    states = collections.Counter(trial.state.lower() for trial in trials)
    limits = [f"{cost} {format_cost(cost, limit)}" for cost, limit in spec["budgets"].items()]
    refused = study.optuna_study().user_attrs.get("infeasible", 0)
    rows = {
        "architecture": config["arch"],
        "data": config["dataset"],
        "space": spec["space"],
        "sampler, pruner, seed": f"{spec['sampler']}, {spec['pruner']}, {config['seed']}",
        "epochs of a trial": config["epochs"],
        "objectives": ", ".join(spec["objectives"]),
        "budgets": ", ".join(limits) or "none",
        "proposals over a budget": f"{refused:,}",
        "trials": ", ".join(f"{count} {state}" for state, count in states.items()),
    }
    return [[name, str(value)] for name, value in rows.items()]


def _failures(trials: list[TrialRecord]) -> Section:
    title = "Failures by reason"
    failed = [trial for trial in trials if trial.state == "FAILED"]
    restarted = sum(trial.starts > 1 for trial in trials)
    text = f"{restarted} trials were started a second time because their process was killed. " if restarted else ""
    if not failed:
        return Section(title, text + "No trial failed.")
    by_kind = collections.defaultdict(list)
    for trial in failed:
        by_kind[(trial.reason or "unknown").split(":")[0]].append(trial)
    rows = [
        [kind, str(len(group)), ", ".join(str(trial.number) for trial in group), group[0].reason or ""]
        for kind, group in sorted(by_kind.items(), key=lambda item: -len(item[1]))
    ]
    return Section(title, text, (["reason", "trials", "which", "the first"], rows))


def _seconds(trial: TrialRecord) -> str:
    return "" if trial.seconds is None else f"{trial.seconds:.1f}"


def to_markdown(title: str, sections: list[Section]) -> str:
    """The report without its pictures, except a link to front.png."""
    parts = [f"# {tables.escape_markdown(title)}"]
    for section in sections:
        parts += [f"## {section.title}", section.text]
        if section.title == "The Pareto front":
            parts.append("![The Pareto front](front.png)")
        if section.table:
            head, rows = section.table
            parts.append(tables.as_markdown(head, rows, words=range(len(head))))
        elif section.picture and not section.text:
            parts.append("(a picture: see report.html)")
    return "\n\n".join(filter(None, parts)) + "\n"


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; font-size: .85rem }
td, th { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top }
tr + tr { border-top: 1px solid #eee } th { color: #666; font-weight: 600 }
code { font: .8rem/1.4 ui-monospace, monospace; background: #f5f5f5; padding: .1rem .3rem; overflow-wrap: anywhere }
.wide { overflow-x: auto } svg { max-width: 100%; height: auto }
"""


def to_html(title: str, sections: list[Section]) -> str:
    """The report as one page with its pictures."""
    parts = []
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        if section.text:
            parts.append(f"<p>{html.escape(section.text)}</p>")
        if section.picture:
            parts.append(f'<div class="wide">{section.picture}</div>')
        if section.table:
            head, rows = section.table
            top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
            body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            parts.append(f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>')
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body><h1>{html.escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _cell(text: str) -> str:
    code = len(text) > 1 and text[0] == text[-1] == "`"
    return f"<code>{html.escape(text[1:-1])}</code>" if code else html.escape(text)


def to_csv(trials: list[TrialRecord], objectives: list[Objective]) -> str:
    """A line for each trial: its state, scores, seconds, starts, reason, and a column for each hyperparameter."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    head = ["trial", "state", *(objective.name for objective in objectives), "seconds", "starts", "reason", *names]
    rows = []
    for trial in trials:
        scores = trial.scores or [""] * len(objectives)
        values = [trial.values.get(name) for name in names]
        rows.append([trial.number, trial.state, *scores, _seconds(trial), trial.starts, trial.reason, *values])
    return tables.as_csv(head, rows) + "\n"


def main() -> None:
    parser = Parser(prog="python -m tuning.report", description=(__doc__ or "").split("\n\n")[0])
    add_study(parser)
    arguments = parser.parse_args()
    study = Study.opened(arguments.study, arguments.storage)
    sections = report(study)
    trials = study.trials()
    objectives = study.objectives()
    title = f"Search: {study.name}"
    texts = {
        "report.html": to_html(title, sections),
        "report.md": to_markdown(title, sections),
        "trials.csv": to_csv(trials, objectives),
    }
    for name, text in texts.items():
        with writing(study.path / name) as draft:
            draft.write_text(text)
        print(printable(str(study.path / name)))
    if len(objectives) > 1 and best_first(trials, objectives):
        from pipelines.text import save
        from tuning.study import plots

        with writing(study.path / "front.png") as draft:
            save(plots.front(trials, objectives), draft, format="png", dpi=120)
        print(study.path / "front.png")


if __name__ == "__main__":
    sys.exit(run_main(main))
