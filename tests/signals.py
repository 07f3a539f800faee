"""SIGINT and SIGTERM end a training run with a checkpoint, a message and the exit status that shells expect; --resume continues from there.

usage: signals.py WORK_DIR PROGRAM [OPTION...]     (the options of a run that takes minutes; --output is added)
"""
import glob, os, shutil, signal, subprocess, sys, time

work, command = sys.argv[1], sys.argv[2:]
shutil.rmtree(work, ignore_errors=True)
failed = False


def expect(what, holds, text=""):
    global failed
    if not holds:
        failed = True
        print(f"FAILED: {what}\n{text}")


def default_signals():
    """Restores the signals that a background job of a script ignores."""
    for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_DFL)


def run(folder, *options):
    return subprocess.Popen([*command, "--output", folder, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=default_signals)


def newest(folder):
    return max(glob.glob(os.path.join(folder, "**", "step-*.json"), recursive=True), default=None)


for s in (signal.SIGINT, signal.SIGTERM):
    folder = os.path.join(work, s.name)
    process = run(folder, "--checkpoint-every", "1")
    deadline = time.monotonic() + 120
    while newest(folder) is None and time.monotonic() < deadline and process.poll() is None: time.sleep(0.02)
    process.send_signal(s)
    text, _ = process.communicate(timeout=120)
    expect(f"{s.name}: the status is {128 + s}, not {process.returncode}", process.returncode == 128 + s, text)
    last = text.splitlines()[-1] if text else ""
    expect(f"{s.name}: the last line says so", last.startswith(f"{s.name}: stopped after step "), text)
    step = last.split("step ")[-1].split(";")[0]
    expect(f"{s.name}: the newest checkpoint is of that step", newest(folder) and newest(folder).endswith(f"step-{int(step):09}.json"), text)
    process = run(folder, "--resume")
    while (line := process.stdout.readline()) and "after step" not in line: pass
    process.kill()
    process.communicate()
    expect(f"{s.name}: --resume goes on from it", f"after step {step}" in line, line)
shutil.rmtree(work, ignore_errors=True)
sys.exit(failed)
