"""`python -m tuning.report STUDY`: what a search has found, as one HTML page, as Markdown and as a table.

report.html  everything in one file, which needs no network
report.md    the same without the pictures, but the Pareto front, front.png
trials.csv   a line a trial
"""

from __future__ import annotations

import collections
import html
import sys
from typing import Any, NamedTuple

from tfcnn import tables
from tfcnn.cli.parser import Parser, run_main
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.files import writing
from tuning import budgets
from tuning.study.folder import Study, add_study
from tuning.study.trials import Found, best_first, command_of, values_of, written

SHOWN = 5  # of the best of one objective


class Section(NamedTuple):
    """A heading, with text, a table (head, rows) and a picture as SVG, where there is any."""

    title: str
    text: str = ""
    table: tuple[list[str], list[list[str]]] | None = None
    picture: str = ""


def report(study: Study) -> list[Section]:
    """What there is to say of a study, in the order in which it is told. Raises BadInput if there is no trial yet."""
    trials, objectives, spec = study.trials(), study.objectives(), study.spec()
    if not trials:
        raise BadInput(f"the study in '{study.path}' has no trial yet: python -m tuning.search trains some")
    from tuning.study import plots

    best, names = best_first(trials, objectives), [name for name, _ in objectives]
    sections = [Section("The study", table=(["what", ""], _facts(study, trials, spec)))]
    if best:
        several = len(objectives) > 1
        shown = best if several else best[:SHOWN]
        head = ["trial", *names, "values", "seconds"]
        rows = [[str(t.number), *map(written, names, t.scores), values_of(t.values), _seconds(t)] for t in shown]
        text, picture = "", ""
        if several:
            volume, bound = plots.hypervolume(trials, objectives)
            point = ", ".join(map(written, names, bound))
            text = f"Hypervolume {volume:.6g}, bounded by the worst values of the completed trials ({point})."
            picture = plots.svg(plots.front(trials, objectives))
        sections.append(Section("The Pareto front" if several else "The best", text, (head, rows), picture))
        rows = [[str(t.number), f"`{command_of(Config(**t.config))}`"] for t in shown]
        sections.append(Section("The commands that train them", table=(["trial", "command"], rows)))
        sections.append(Section("Best so far", picture=plots.svg(plots.best_so_far(trials, objectives))))
        if plots.presentable(trials, objectives).trials[0].params:
            picture = plots.svg(plots.parallel(trials, objectives))
            sections.append(Section("Parallel coordinates", picture=picture))
        if shares := plots.importances(trials, objectives):
            text = "The share of the score's variance that each value accounts for (fANOVA)."
            picture = plots.svg(plots.importance_bars(shares))
            kinds = list(dict.fromkeys(name for each in shares.values() for name in each))
            rows = [[kind, *(f"{each.get(kind, 0):.1%}" for each in shares.values())] for kind in kinds]
            sections.append(Section("Importances", text, (["value", *shares], rows), picture))
    if any(len(trial.curve) > 1 for trial in trials):
        sections.append(Section("After each epoch", picture=plots.svg(plots.curves(trials, names[0]))))
    sections.append(Section("Failures by reason", *_failures(trials)))
    timed = [trial.seconds for trial in trials if trial.seconds is not None]
    if timed:
        text = f"{len(timed)} trials took {sum(timed):,.0f} s, {sum(timed) / len(timed):.1f} s each."
        sections.append(Section("Timing", text, picture=plots.svg(plots.timing(trials))))
    head = ["trial", "state", *names, "seconds", "values", "reason"]
    rows = []
    for t in trials:
        scores = map(written, names, t.scores) if t.scores else [""] * len(names)
        rows.append([str(t.number), t.state.lower(), *scores, _seconds(t), values_of(t.values), t.reason or ""])
    sections.append(Section("All trials", table=(head, rows)))
    return sections


def _facts(study: Study, trials: list[Found], spec: dict[str, Any]) -> list[list[str]]:
    config, states = spec["config"], collections.Counter(trial.state.lower() for trial in trials)
    limits = [f"{cost} {budgets.written(cost, limit)}" for cost, limit in spec["budgets"].items()]
    refused = study.optuna().user_attrs.get("infeasible", 0)
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


def _failures(trials: list[Found]) -> tuple[str, tuple | None]:
    failed = [trial for trial in trials if trial.state == "FAILED"]
    again = sum(trial.starts > 1 for trial in trials)
    text = f"{again} trials were started a second time, their process having been killed. " if again else ""
    if not failed:
        return text + "No trial failed.", None
    kinds = collections.defaultdict(list)
    for trial in failed:
        kinds[(trial.reason or "unknown").split(":")[0]].append(trial)
    rows = [
        [kind, str(len(found)), ", ".join(str(t.number) for t in found), found[0].reason or ""]
        for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1]))
    ]
    return text, (["reason", "trials", "which", "the first"], rows)


def _seconds(trial: Found) -> str:
    return "" if trial.seconds is None else f"{trial.seconds:.1f}"


def to_markdown(title: str, sections: list[Section]) -> str:
    """The report without its pictures; that of the front is a file beside it."""
    parts = [f"# {title}"]
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
    """The report as one page, its pictures within it."""
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


def to_csv(trials: list[Found], objectives: list[tuple[str, str]]) -> str:
    """One line a trial: its state, scores, seconds, reason, and a column for each value that was sampled."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    head = ["trial", "state", *(name for name, _ in objectives), "seconds", "starts", "reason", *names]
    rows = [
        [
            *(trial.number, trial.state, *(trial.scores or [""] * len(objectives))),
            *(_seconds(trial), trial.starts, trial.reason),
            *(trial.values.get(name) for name in names),
        ]
        for trial in trials
    ]
    return tables.as_csv(head, rows) + "\n"


def main() -> None:
    parser = Parser(prog="python -m tuning.report", description=__doc__.split("\n\n")[0])
    add_study(parser)
    given = parser.parse_args()
    study = Study.opened(given.study, given.storage)
    sections = report(study)
    trials, objectives = study.trials(), study.objectives()
    title = f"Search: {study.name}"
    files = [study.path / name for name in ("report.html", "report.md", "trials.csv")]
    with writing(files[0]) as path:
        path.write_text(to_html(title, sections))
    with writing(files[1]) as path:
        path.write_text(to_markdown(title, sections))
    with writing(files[2]) as path:
        path.write_text(to_csv(trials, objectives))
    if len(objectives) > 1 and best_first(trials, objectives):
        from tuning.study import plots

        files.append(study.path / "front.png")
        with writing(files[-1]) as path:
            plots.front(trials, objectives).savefig(path, format="png", dpi=120)
    print("\n".join(map(str, files)))


if __name__ == "__main__":
    sys.exit(run_main(main))
