"""The command ``export``: serve the metrics of cgroups to Prometheus, or send them to OpenTelemetry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Optional

import typer

from ..core.advice import install
from ..core.errors import InvalidValue, describe_errno, printable, shown
from ..export.metrics import SPELLINGS
from ..export.numbers import DEFAULT, FAMILIES
from .common import render
from .common.arguments import host_of, seconds
from .common.interrupt import interrupted

__all__ = ["export"]

ADDRESS = "127.0.0.1:9753"
PORT_MAX = 0xFFFF
TEXTFILE = ".prom"
CLIENT_S = 10.0
"""Seconds in which a client must send its request."""
SEND_S = 5.0
"""Seconds of an attempt to send, with all its retries."""


def _family(word: str) -> str:
    if word not in FAMILIES:
        message = f"family must be one of {', '.join(FAMILIES)}, got {word!r}"
        raise typer.BadParameter(message)
    return word


def _names(word: str) -> str:
    if word not in SPELLINGS:
        message = f"names must be one of {', '.join(SPELLINGS)}, got {word!r}"
        raise typer.BadParameter(message)
    return word


OFF = ", ".join(family for family in FAMILIES if family not in DEFAULT)


def export(
    context: typer.Context,
    specs: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Argument(metavar="SPEC", help="Cgroups to export, with all below; default: all."),
    ] = None,
    listen: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="ADDRESS", help=f"Serve /metrics over HTTP; default: {ADDRESS}."),
    ] = None,
    textfile: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write FILE at each interval, for node_exporter's textfile collector."),
    ] = None,
    otlp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="URL", help="Send to an OpenTelemetry collector, such as http://localhost:4318."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the metrics, or write or send them, and exit.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-i", help="Time between two files or sends.", **seconds(1, 86400))
    ] = 15.0,
    on: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--with", parser=_family, metavar="FAMILY", help=f"Turn on a family (repeatable): {OFF}."),
    ] = None,
    off: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--no", parser=_family, metavar="FAMILY", help=f"Turn off a family: {', '.join(DEFAULT)}."),
    ] = None,
    depth: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--depth", "-d", min=0, help="Number of levels to export below; default: all."),
    ] = None,
    include: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="REGEX", help="Export only cgroups whose path, unit or container matches."),
    ] = None,
    exclude: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="REGEX", help="Leave out cgroups whose path, unit or container matches."),
    ] = None,
    leaves: Annotated[bool, typer.Option("--leaves", help="Leave out cgroups with an exported cgroup below.")] = False,
    names: Annotated[
        str, typer.Option(parser=_names, metavar="|".join(SPELLINGS), help="Spelling of names and labels.")
    ] = "default",
    tls_cert: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help="Certificate: serve HTTPS."),
    ] = None,
    tls_key: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help="Private key; default: it is in the file of the certificate."),
    ] = None,
    tls_client_ca: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help="Accept only clients with a certificate of this authority."),
    ] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Print a Grafana dashboard, and exit.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="Print alert rules of Prometheus, and exit.")] = False,
) -> None:
    """Export the numbers of cgroups to Prometheus or OpenTelemetry.

    A scrape reads all cgroups once.  A number that a cgroup does not have, and
    a limit that is not set, have no sample.  The label cgroup is the path;
    cgroup_info has the unit, container and pod of each path.

    The server listens only on this machine unless --listen names another
    address.  For a password, use a proxy: see 'cgroups guide'.

    \b
    Examples: cgroups export
              cgroups export /system.slice --listen :9753
              cgroups export --once --include docker
              cgroups export --textfile /var/lib/node_exporter/cgroups.prom
              cgroups export --otlp http://localhost:4318
              cgroups export --dashboard > cgroups.json
    """
    tls = {"certfile": tls_cert, "keyfile": tls_key or tls_cert, "client_cafile": tls_client_ca}
    _check_options(
        {"--dashboard": dashboard, "--rules": rules, "--textfile": textfile, "--otlp": otlp, "--listen": listen},
        {"--tls-key": tls_key, "--tls-client-ca": tls_client_ca},
        tls_cert,
    )
    if dashboard or rules:
        from ..export import dashboards

        render.show(dashboards.dashboard(names) if dashboard else dashboards.rules(names))
        return
    families = [family for family in (*DEFAULT, *(on or ())) if family not in (off or ())]
    chosen: dict[str, Any] = {
        "families": families,
        "depth": depth,
        "include": include,
        "exclude": exclude,
        "leaves": leaves,
        "host": host_of(context),
    }
    if otlp is not None:
        if names != "default":
            raise typer.BadParameter("--names has no effect on --otlp: OpenTelemetry has names of its own")
        _send(_url(otlp), specs or [], chosen, interval, once=once)
        return
    address = _parsed(ADDRESS if listen is None else listen)
    with _extra("prometheus"):
        from ..prometheus import Collector
    with Collector(*specs or [], names=names, **chosen) as collector:
        if textfile is not None:
            _write(textfile, collector, interval, once=once)
        elif once:
            render.show(_text(collector))
        else:
            _serve(*address, collector, {**tls, "client_auth_required": tls_client_ca is not None})


def _check_options(modes: dict[str, Any], tls: dict[str, str | None], certificate: str | None) -> None:
    """Raise a usage error if two modes are given, or options of TLS that would have no effect."""
    given = [name for name, value in modes.items() if value not in (None, False)]
    if len(given) > 1:
        message = f"{' and '.join(given)} exclude each other: run one command for each"
        raise typer.BadParameter(message)
    for name, value in tls.items():
        if value is not None and certificate is None:
            message = f"{name} needs --tls-cert: without a certificate the metrics would be sent in clear text"
            raise typer.BadParameter(message)
    if not str(modes["--textfile"] or TEXTFILE).endswith(TEXTFILE):
        message = (
            f"--textfile must end in {TEXTFILE}, got {shown(modes['--textfile'])}: node_exporter reads no other file"
        )
        raise typer.BadParameter(message)
    if certificate is not None and given not in ([], ["--listen"]):
        message = f"--tls-cert has no effect on {given[0]}"
        raise typer.BadParameter(message)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Report a missing package of an extra, which a block imports, in one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "cgroups":
            raise
        message = f"cannot export: {error.name} is not installed"
        raise InvalidValue(message, hint=install(name)) from None


def _registry(collector: Any) -> Any:
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _text(collector: Any) -> str:
    from prometheus_client import generate_latest

    return generate_latest(_registry(collector)).decode()


def _write(path: str, collector: Any, interval: float, *, once: bool) -> None:
    """Write the file at each interval.  A failure after the first file is one line on stderr; the next may succeed."""
    from prometheus_client import write_to_textfile

    registry = _registry(collector)
    is_first = True
    with interrupted() as ended:
        if not once:
            typer.echo(f"cgroups: writing {path} every {interval:g} s", err=True)
        while True:
            try:
                write_to_textfile(path, registry)
            except OSError as error:
                message = f"cannot write {path}: {describe_errno(error.errno or 0)}"
                if is_first:
                    raise InvalidValue(message, hint="name a file in a directory that exists and is writable") from None
                typer.echo(f"cgroups: {message}", err=True)
            is_first = False
            if once or ended.wait(interval):
                return


# ---- HTTP --------------------------------------------------------------------------------


def _serve(host: str, port: int, collector: Any, tls: dict[str, Any]) -> None:
    import socket

    from prometheus_client import start_http_server

    _check_certificate(tls)
    shown_host = f"[{host}]" if ":" in host else host
    try:
        server, thread = start_http_server(port, host, _registry(collector), **tls)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else describe_errno(error.errno or 0)
        message = f"cannot listen on {shown_host}:{port}: {reason}"
        raise InvalidValue(message, hint="--listen names another address") from None
    _bound_clients(server, is_secure=tls["certfile"] is not None)
    with interrupted() as ended:
        scheme = "https" if tls["certfile"] else "http"
        typer.echo(f"cgroups: serving {scheme}://{shown_host}:{server.server_port}/metrics", err=True)
        ended.wait()
    server.shutdown()
    server.server_close()
    thread.join()


def _bound_clients(server: Any, *, is_secure: bool) -> None:
    """Give each client a thread and a time: one that connects and sends nothing must not stop the others."""
    server.RequestHandlerClass = type("Handler", (server.RequestHandlerClass,), {"timeout": CLIENT_S})
    if is_secure:
        server.socket.do_handshake_on_connect = False  # the handshake would run in the thread that accepts
    report = server.handle_error

    def handle_error(*arguments: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # the client left, or was too slow
            report(*arguments)

    server.handle_error = handle_error


def _check_certificate(tls: dict[str, Any]) -> None:
    """Raise InvalidValue if a file of the certificate cannot be used, before a socket is opened."""
    if tls["certfile"] is None:
        return
    import ssl

    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls["client_cafile"])
        context.load_cert_chain(tls["certfile"], tls["keyfile"])
    except OSError as error:  # SSLError is one
        reason = error.reason if isinstance(error, ssl.SSLError) else describe_errno(error.errno or 0)
        files = ", ".join(dict.fromkeys(file for file in (*tls.values(),) if isinstance(file, str)))
        message = f"cannot use the certificate {files}: {reason}"
        raise InvalidValue(message, hint="--tls-cert and --tls-key name files in PEM format") from None


def _parsed(address: str) -> tuple[str, int]:
    """Return the host and the port of an address: ``HOST:PORT``, ``:PORT`` for all, ``[::1]:PORT``."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        message = f"address must be HOST:PORT or :PORT, got {shown(address)}"
        raise InvalidValue(message, hint=f"such as {ADDRESS}")
    return host or "0.0.0.0", int(port)  # noqa: S104 - the user asked for all addresses


# ---- OTLP --------------------------------------------------------------------------------


def _url(endpoint: str) -> str:
    """Return the URL to post to: the given one, with the standard path if the URL is without a path."""
    from urllib.parse import urlsplit

    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"URL must be http://HOST:PORT or https://HOST:PORT, got {shown(endpoint)}"
        raise InvalidValue(message, hint="such as http://localhost:4318")
    return endpoint if parts.path.strip("/") else f"{endpoint.rstrip('/')}/v1/metrics"


def _send(url: str, specs: list[str], chosen: dict[str, Any], interval: float, *, once: bool) -> None:
    import logging

    with _extra("otel"):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult

        from ..otel import instrument

    reasons: list[str] = []

    class Reasons(logging.Handler):
        """The library logs the reason of a failure, and returns only that it failed."""

        def emit(self, record: logging.LogRecord) -> None:
            reasons[:] = [printable(record.getMessage())]

    log = logging.getLogger("opentelemetry")
    log.addHandler(Reasons(logging.WARNING))
    log.propagate = False
    reader, exporter = InMemoryMetricReader(), OTLPMetricExporter(endpoint=url, timeout=SEND_S)
    provider = MeterProvider(metric_readers=[reader])
    with instrument(provider, *specs, **chosen), interrupted() as ended:
        if not once:
            typer.echo(f"cgroups: sending to {url} every {interval:g} s", err=True)
        while True:
            reasons.clear()
            data = reader.get_metrics_data()
            message, hint = "", None
            if reasons:
                message = f"cannot read the cgroups: {reasons[0]}"
            elif data is not None and exporter.export(data) is not MetricExportResult.SUCCESS:
                message = f"cannot send to {url}: {reasons[0] if reasons else 'no answer'}"
                hint = "see that the collector runs"
            if message and once:
                raise InvalidValue(message, hint=hint)
            if message:
                typer.echo(f"cgroups: {message}", err=True)
            if once or ended.wait(interval):
                break
    exporter.shutdown()
    provider.shutdown()
