"""Signals that wait for the end of a step."""

import signal

import pytest

from tfcnn.cli.signals import DeferredSignals, Terminated

SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


def handlers():
    return [signal.getsignal(number) for number, _ in SIGNALS]


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_signal_waits_until_the_context_ends(number, kind):
    reached = []

    def interrupt():
        with DeferredSignals() as signals:
            signals.deliver()
            signal.raise_signal(number)
            reached.append(type(signals.pending))

    with pytest.raises(kind) as caught:
        interrupt()
    assert type(caught.value) is kind
    assert reached == [kind]


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_second_signal_ends_the_process(number, kind):
    """By the kernel's own handler."""
    after_the_first = []

    def interrupt():
        with DeferredSignals():
            signal.raise_signal(number)
            after_the_first.extend(handlers())

    with pytest.raises(kind):
        interrupt()
    assert after_the_first == [signal.SIG_DFL] * 2


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_the_handlers_from_before_are_restored(number, kind):
    before = handlers()
    with pytest.raises(kind), DeferredSignals():
        signal.raise_signal(number)
    assert handlers() == before
