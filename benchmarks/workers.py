"""The programs that compare runs: installs, builds and starts them, and stops each while another one is measured."""
import ctypes, json, os, re, signal, subprocess, sys, time
from peers import geometry

here = os.path.dirname(os.path.abspath(__file__))
packages = {"torch": ["torch", "numpy"], "jax": ["jax", "numpy"], "onednn": ["onednn", "onednn-devel"], "brainstate": ["brainstate", "braintools", "jax"], "plot": ["matplotlib"]}

def run(command, **more):
    result = subprocess.run(command, capture_output=True, text=True, **more)
    if result.returncode != 0: sys.exit(f"error: {' '.join(command)} failed:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return result.stdout

def build_voxgrad(root, programs=("conv3d_bench", "roofline")):
    if not os.path.exists(os.path.join(root, "build/release/build.ninja")): run(["cmake", "--preset", "release"], cwd=root)
    run(["cmake", "--build", "build/release", "--target", *programs], cwd=root)

def python(venv): return os.path.join(venv, "bin/python")

def install(venv, peers):
    """Creates the virtual environment, installs missing packages, and builds onednn_bench there."""
    if not os.path.exists(python(venv)): run([sys.executable, "-m", "venv", venv])
    have = {p["name"].lower() for p in json.loads(run([python(venv), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]))}
    missing = sorted({name for p in peers for name in packages[p]} - have)
    if missing:
        print(f"installing {' '.join(missing)} into {venv}", flush=True)
        run([python(venv), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing])
    if "onednn" in peers: build_onednn(venv)

def onednn_program(venv): return os.path.join(venv, "bin/voxgrad_onednn_bench")

def build_onednn(venv):
    source, program = os.path.join(here, "onednn_bench.cpp"), onednn_program(venv)
    if os.path.exists(program) and os.path.getmtime(program) > os.path.getmtime(source): return
    run(["g++", "-O2", "-std=c++17", source, f"-I{venv}/include", f"-L{venv}/lib", "-ldnnl", f"-Wl,-rpath,{venv}/lib", "-o", program])

def versions(venv, peers):
    listed = json.loads(run([python(venv), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]))
    return {p["name"]: p["version"] for p in listed if p["name"].lower() in peers}

def machine():
    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return names[0] if names else "unknown CPU"

def environment():
    """The environment variables that affect the programs."""
    return {k: v for k, v in os.environ.items() if k.startswith(("ONEDNN_", "DNNL_", "OMP_", "KMP_", "VOXGRAD_", "XLA_"))}

def roofline(build, threads):
    return json.loads(run([os.path.join(build, "release/benchmarks/roofline"), "--threads", str(threads), "--seconds", "0.3"]))

def higher(a, b):
    """The higher of each two rates, because other programs on the machine can only lower a rate."""
    return {k: higher(a[k], b[k]) for k in a} if isinstance(a, dict) else max(a, b)

def plot(venv, table, picture):
    run([python(venv), os.path.join(here, "plot.py"), table, picture])

def busy_seconds():
    """CPU time that all programs on the machine have used, and that the host has taken (steal)."""
    fields = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # without idle and iowait

class Load:
    """How many cores other programs kept busy since the last call: such load makes times and ratios worthless."""

    def __init__(self, programs):
        self.programs, self.seen = programs, None
        self.cores_of_others()

    def cores_of_others(self):
        ours = sum(p.cpu_seconds() for p in self.programs.values()) + sum(os.times()[:4])
        now, before = (time.monotonic(), busy_seconds() - ours), self.seen
        self.seen = now
        return max(0.0, (now[1] - before[1]) / (now[0] - before[0])) if before else 0.0

def ask_alone(command, threads, env=None):
    """Runs a program on as many cores as it has threads; returns the JSON of its last line, or {"error": ...} if it fails."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads), **(env or {})},
                            preexec_fn=lambda: os.sched_setaffinity(0, cores))
    if result.returncode == 0: return json.loads(result.stdout.splitlines()[-1])
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(error|exception)\b", line, re.IGNORECASE)]  # PyTorch prints advice after the error
    return {"error": (named or lines or [f"ended with {result.returncode}"])[-1]}

class Worker:
    """A program that answers each line with a line of JSON. It is stopped while it is idle: threads that spin for work would take the cores from
    the measured program, and OMP_WAIT_POLICY=passive would slow its own short parallel regions."""

    def __init__(self, command, threads, env=None, line=json.dumps):
        self.command, self.threads, self.line, self.process = command, threads, line, None
        self.env = {**os.environ, "OMP_NUM_THREADS": str(threads), **(env or {})}

    def start(self):
        cores = sorted(os.sched_getaffinity(0))[: self.threads]
        libc = ctypes.CDLL(None)
        def child():
            os.sched_setaffinity(0, cores)
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a stopped program must not outlive compare
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.env, preexec_fn=child)

    def ask(self, problem):
        if (text := self.line(problem)) is None: return {}
        if self.process is None: self.start()
        self.process.send_signal(signal.SIGCONT)
        try:
            print(text, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError: answer = ""
        if not answer:
            status, self.process = self.process.wait(), None  # a new process answers the next problem
            return {"error": f"{self.command[0]} ended with {status}"}
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(answer)

    def cpu_seconds(self):
        if self.process is None: return 0.0
        fields = open(f"/proc/{self.process.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

def onednn_line(problem):
    """The line that onednn_bench reads; None for dtypes that it does not support."""
    q = geometry(problem)
    if q["dtype"] == "f64": return None
    pads = [v for pair in q["pads"] for v in pair]
    return " ".join(str(v) for v in (problem["name"], q["dtype"], q["n"], *q["sp"], q["ci"], q["co"], *q["k"], *q["s"], *pads, *q["r"], q["g"], *q["l"], *q["out"]))

def start(a, build):
    """The workers by name, voxgrad's first."""
    common = ["--threads", str(a.threads), "--seconds", str(a.seconds)]
    ours = [os.path.join(build, "release/benchmarks/conv3d_bench"), *common]
    if a.kernels: ours += ["--kernels", a.kernels]
    if a.algorithm: ours += ["--algorithm", a.algorithm]
    lib = os.path.join(a.venv, "lib")
    sycl = {"LD_LIBRARY_PATH": lib, "OCL_ICD_FILENAMES": os.path.join(lib, "libintelocl.so"), "DPCPP_CPU_NUM_CUS": str(a.threads)}
    makers = {"torch": lambda: Worker([python(a.venv), os.path.join(here, "peers.py"), "torch", *common], a.threads),
              "jax": lambda: Worker([python(a.venv), os.path.join(here, "peers.py"), "jax", *common], a.threads),
              "onednn": lambda: Worker([onednn_program(a.venv), str(a.seconds)], a.threads, sycl, onednn_line)}
    return {"voxgrad": Worker(ours, a.threads), **{p: makers[p]() for p in a.peers}}
