"""Every public object does the same in every process, thread and event loop, after pickling, and until the exit."""

import json

import pytest

from tests.integration.forks.objects import OBJECTS

WAYS = ("never_used", "used", "busy", "pickled", "event_loops", "exits")


@pytest.mark.parametrize("name", OBJECTS)
def test_object_works_in_every_process(name, request, run_program):
    needs = OBJECTS[name].needs
    more = request.getfixturevalue("aws_variables") if needs == "aws" else {}
    if needs == "postgres":
        more = {"TEST_DATABASE": request.getfixturevalue("postgres_url")}
    program = """
        import json, sys
        from tests.integration.forks.program import Program
        print(json.dumps(Program(sys.argv[1]).run()))
    """
    done = run_program(program, name, **more)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(WAYS, "same")
