"""The list of emulated actions, from which a reference page is generated."""

import importlib
import pkgutil

import localaws.services
from localaws.core.actions import emulated_actions


def test_actions_include_overridden_and_added_ones() -> None:
    actions = {(action.service, action.name): action for action in emulated_actions()}
    assert actions["sagemaker", "UpdateEndpoint"].source == "localaws"
    assert actions["sagemaker-runtime", "InvokeEndpoint"].source == "localaws"
    assert actions["application-autoscaling", "PutScalingPolicy"].source == "localaws"
    assert ("sagemaker", "CreateNotebookInstance") not in actions


def test_actions_are_listed_once_with_complete_sentences() -> None:
    actions = emulated_actions()
    assert len({(action.service, action.name) for action in actions}) == len(actions)
    assert all(action.note.endswith(".") and "\n" not in action.note for action in actions if action.note)


def test_every_simplification_names_a_listed_action() -> None:
    listed = {action.name for action in emulated_actions()}
    for info in pkgutil.walk_packages(localaws.services.__path__, "localaws.services."):
        if ".containers." not in info.name:
            simplifications = getattr(importlib.import_module(info.name), "SIMPLIFICATIONS", {})
            assert simplifications.keys() <= listed, info.name
