//! A gateway process with its policy, on ports of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) use self::ports::free_port;

// The kit itself is made of the program that is tested here.
#[expect(dead_code, unreachable_pub, clippy::expect_used, reason = "as the kit has it")]
#[path = "../../../testkit/src/ports.rs"]
mod ports;

/// Longer than anything here takes; only a hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) https: SocketAddr,
    pub(crate) child: Child,
    pub(crate) log: Arc<Mutex<String>>,
}

pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_n8n-gateway"))
}

/// Copies the program to `to`, to be run there.
pub(crate) fn copy_program(to: &Path) {
    // By a process that has ended: whatever another test starts meanwhile could hold a file that was
    // written here, and such a file cannot be run.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_n8n-gateway")).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Writes a script to `to`, to be run there; by another process, as above.
pub(crate) fn write_program(to: &Path, script: &str) {
    let write = "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\"";
    let written = Command::new("sh").args(["-c", write]).arg(to).arg(script).status();
    assert!(written.unwrap().success());
}

/// Runs a command of the program to its end.
pub(crate) fn command(arguments: &[&str]) -> Output {
    binary().args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An n8n that answers everything with 200 and counts the bytes of bodies; one thread a
/// connection.
pub(crate) fn fake_n8n() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for io in listener.incoming().flatten() {
            thread::spawn(move || answer_all(io));
        }
    });
    address
}

fn answer_all(io: TcpStream) {
    let mut reader = BufReader::new(io.try_clone().unwrap());
    let mut writer = io;
    loop {
        let (mut length, mut line) = (0_u64, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let read = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        let body = format!("{read} bytes");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

impl House {
    /// A policy for the editor at 127.0.0.1, with `more` below it.
    pub(crate) fn policy(https: u16, n8n: SocketAddr, more: &str) -> String {
        format!(
            "version: 1\nsite: {{ host: localhost }}\nlisten: {{ https: \"127.0.0.1:{https}\", http: [], \
             admin: \"unix:ADMIN\" }}\ntls: {{ self_signed: true }}\nn8n: {{ url: \"http://{n8n}\" }}\n\
             networks: {{ me: [127.0.0.1] }}\naccess: {{ editor: me }}\nstate: {{ dir: state }}\n{more}"
        )
    }

    pub(crate) fn start() -> Self {
        Self::start_with("", |_| {})
    }

    pub(crate) fn start_with(more: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_as(|policy| policy + more, prepare)
    }

    /// With the policy as `change` leaves it.
    pub(crate) fn start_as(
        change: impl FnOnce(String) -> String,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let https = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let admin = folder.path().join("admin.sock").display().to_string();
        let policy = Self::policy(https.port(), fake_n8n(), "").replace("ADMIN", &admin);
        let policy = change(policy);
        fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        let mut command = binary();
        command.arg("run").arg("--config").arg(folder.path().join("policy.yaml"));
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (output, lines) = (child.stdout.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let house = Self { folder, https, child, log };
        house.wait_for_log("\"event\":\"started\"");
        house
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read_policy(&self) -> String {
        fs::read_to_string(self.file("policy.yaml")).unwrap()
    }

    /// Waits until the log has `needle` in it.
    pub(crate) fn wait_for_log(&self, needle: &str) {
        until(needle, || self.log.lock().unwrap().contains(needle));
    }

    /// One request to the admin socket; status line, header and body.
    pub(crate) fn admin(&self, method: &str, path: &str) -> String {
        let mut io = UnixStream::connect(self.file("admin.sock")).unwrap();
        io.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        io.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        io.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(name).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the process's end and gives its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        until("the end", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }

    /// The memory that the process holds, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl House {
    /// The process that serves now: after an upgrade it is not the child any more.
    pub(crate) fn serving(&self) -> Option<u32> {
        let mut io = UnixStream::connect(self.file("admin.sock")).ok()?;
        io.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = "GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        io.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        io.read_to_string(&mut answer).ok()?;
        let (_, status) = answer.split_once("\r\n\r\n")?;
        let status: serde_json::Value = serde_json::from_str(status).ok()?;
        u32::try_from(status.get("process")?.as_u64()?).ok()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // A process that took over is nobody's child: it ends with the test all the same.
        if let Some(process) = self.serving().filter(|it| *it != self.child.id()) {
            drop(Command::new("kill").arg("-KILL").arg(process.to_string()).status());
        }
        // It may have ended already, as it should.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for a state of things.
pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
