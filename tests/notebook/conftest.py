"""Real kernels: a notebook that is executed from top to bottom, and one that is typed into."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

import unbug

SOURCE = Path(unbug.__file__).parent.parent


def environment(runs):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("UNBUG", "PYTEST", "JPY"))
    }
    return {**kept, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "UNBUG_DIR": str(runs)}


def executed(cells, runs):
    """A notebook with these cells, run from top to bottom; errors end no cell but their own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        timeout=120,
        startup_timeout=180,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(runs.parent)}},
    )
    client.execute(env=environment(runs))
    return notebook.cells


def outputs(cell, kind):
    """What a cell put out of a kind: `stdout`, `stderr`, `error`, or a MIME type."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            found += [output.text] if output.name == kind else []
        elif output.output_type == "error":
            found += [output] if kind == "error" else []
        elif kind in output.data:
            found.append(output.data[kind])
    return found


class Kernel:
    """A kernel that is typed into."""

    def __init__(self, runs):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=environment(runs), cwd=str(runs.parent))
        self.client = self._connect()

    def _connect(self):
        client = self.manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=180)
        return client

    def send(self, code):
        """Begin a cell."""
        return self.client.execute(code)

    def wait_for(self, sent, text):
        """Wait until the cell has printed a text."""
        seen = ""
        while text not in seen:
            message = self.client.get_iopub_msg(timeout=60)
            if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == sent:
                seen += message["content"]["text"]

    def end_of(self, sent):
        """All that a cell put out, as notebook outputs, and its reply."""
        found = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
            if message["msg_type"] in ("stream", "error", "display_data", "execute_result"):
                found.append(nbformat.v4.output_from_msg(message))
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == sent:
                return nbformat.v4.new_code_cell("", outputs=found), reply["content"]

    def run(self, code):
        """Run a cell to its end."""
        return self.end_of(self.send(code))

    def printed(self, code):
        """What a cell prints."""
        cell, reply = self.run(code)
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", ()))
        return "".join(outputs(cell, "stdout")).strip()

    def interrupt(self):
        self.manager.interrupt_kernel()

    def restart(self):
        self.client.stop_channels()
        self.manager.restart_kernel(now=False)
        self.client = self._connect()

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.client.context.destroy(linger=0)


@pytest.fixture
def kernel(tmp_path):
    made = Kernel(tmp_path / "runs")
    yield made
    made.close()


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"
