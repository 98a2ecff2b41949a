"""The command parameters."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from ..parameters import Parameters
from ..parameters import parameters as parameters_of
from .common import render
from .common.arguments import AsJson, controller_named
from .common.values import Data, access

__all__ = ["parameters"]


def parameters(
    controller: Annotated[
        Optional[str],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(
            metavar="CONTROLLER", parser=controller_named, help="Controller of the parameters; default: all."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """List all known parameters, on any host.

    Each parameter has a name, the commands that accept it, and a unit.  Its
    control files on v1 and on v2 follow, and a description.

    \b
    Examples: cgroups parameters memory
              cgroups parameters | grep swap
    """
    found = parameters_of(controller)
    render.show(render.as_json([_parameter_data(one) for one in found]) if json else render.parameters(found))


def _parameter_data(parameter: Parameters.Parameter) -> dict[str, Data]:
    return {
        "name": str(parameter),
        "access": [*access(parameter)],
        "unit": parameter.unit,
        "v1_files": [*parameter.files(1)],
        "v2_files": [*parameter.files(2)],
        "doc": parameter.doc,
    }
