//! Another process takes over: nobody notices, and whatever goes wrong leaves the old one serving.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    house::{House, command, copy_program, text, until, write_program},
    running::{Tls, connect, connect_to, status},
};

fn upgrade(house: &House) -> Output {
    let config = house.file("policy.yaml").display().to_string();
    command(&["upgrade", "--config", &config])
}

/// Upgrades, and tells the process that serves from then on.
fn upgraded(house: &House) -> u32 {
    let done = upgrade(house);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let process = said.strip_prefix("process ").and_then(|rest| rest.split(' ').next());
    let process = process.unwrap().parse().unwrap();
    until("it is the one that serves", || house.serving() == Some(process));
    process
}

/// A house whose program is a file of its own, so that another may be put in its place.
fn movable() -> (House, PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("n8n-gateway");
    copy_program(&program);
    let own = program.clone();
    let house = House::start_with("", |command| {
        let mut other = Command::new(own);
        other.args(command.get_args()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        *command = other;
    });
    (house, program, folder)
}

/// Puts a script in the place of a program, as a package does: under another name first.
fn replace(program: &Path, script: &str) {
    let new = program.with_extension("new");
    write_program(&new, &format!("#!/bin/sh\n{script}\n"));
    fs::rename(&new, program).unwrap();
}

/// Whoever calls on and on. A connection is used as long as its answers say that it may be.
struct Caller {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: thread::JoinHandle<Vec<String>>,
}

impl Caller {
    fn begin(address: SocketAddr, authority: PathBuf, keeps: bool) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (until, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let thread = thread::spawn(move || {
            let (mut failures, mut kept) = (Vec::new(), None);
            while !until.load(Ordering::Relaxed) {
                let mut io = kept.take().unwrap_or_else(|| connect_to(address, &authority));
                match answer(&mut io) {
                    Ok(last) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        kept = (keeps && !last).then_some(io);
                    }
                    Err(why) => failures.push(why),
                }
                // Others want to get on as well.
                thread::sleep(Duration::from_millis(2));
            }
            failures
        });
        Self { stop, answered, thread }
    }

    fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.thread.join().unwrap();
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

/// One request and its answer; whether it was the connection's last.
fn answer(io: &mut Tls) -> Result<bool, String> {
    let told = |why: std::io::Error| why.to_string();
    io.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").map_err(told)?;
    let mut buffer = [0; 4096];
    let mut read = 0;
    loop {
        let more = io.read(buffer.get_mut(read..).unwrap()).map_err(told)?;
        if more == 0 {
            return Err(format!("closed after {read} bytes"));
        }
        read += more;
        let answer = String::from_utf8_lossy(buffer.get(..read).unwrap()).into_owned();
        if answer.ends_with("0 bytes") {
            let fine = answer.starts_with("HTTP/1.1 200 ");
            let last = answer.to_ascii_lowercase().contains("connection: close");
            return if fine { Ok(last) } else { Err(answer) };
        }
    }
}

#[test]
fn three_upgrades_go_unnoticed() {
    let house = House::start();
    let authority = house.file("state/ca.pem");
    let callers: Vec<Caller> = [true, true, false, false]
        .map(|keeps| Caller::begin(house.https, authority.clone(), keeps))
        .into();
    // A connection that waits all the while, and is used afterwards.
    let mut patient = connect(&house);
    answer(&mut patient).unwrap();
    let mut processes = vec![house.child.id()];
    // And whoever bans meanwhile.
    let (stop, config) = (Arc::<AtomicBool>::default(), house.file("policy.yaml"));
    let (until_then, config) = (Arc::clone(&stop), config.display().to_string());
    let banning = thread::spawn(move || {
        let (mut told, mut next) = (Vec::new(), 1_u16);
        while !until_then.load(Ordering::Relaxed) {
            let [third, fourth] = next.to_be_bytes();
            let address = format!("198.18.{third}.{fourth}");
            let done = command(&["bans", "add", &address, "--reason", "x", "--config", &config]);
            assert!(done.status.success(), "{}", text(&done.stderr));
            // On a slow disk it may be said that it is not there yet.
            if text(&done.stderr).is_empty() {
                told.push(address);
            }
            next += 1;
        }
        (told, config)
    });
    for _ in 0..3 {
        let before: Vec<u64> =
            callers.iter().map(|it| it.answered.load(Ordering::Relaxed)).collect();
        processes.push(upgraded(&house));
        until("each caller was answered by the new one", || {
            callers
                .iter()
                .zip(&before)
                .all(|(caller, before)| caller.answered.load(Ordering::Relaxed) > before + 20)
        });
    }
    for caller in callers {
        let (answered, failures) = caller.end();
        assert_eq!(failures, Vec::<String>::new(), "of {answered} calls");
    }
    stop.store(true, Ordering::Relaxed);
    let (told, config) = banning.join().unwrap();
    let kept = text(&command(&["bans", "list", "--config", &config]).stdout);
    let kept: Vec<&str> = kept.split_whitespace().collect();
    let lost: Vec<_> = told.iter().filter(|it| !kept.contains(&it.as_str())).collect();
    assert!(!told.is_empty() && lost.is_empty(), "{lost:?} of {}", told.len());
    assert!(answer(&mut patient).unwrap(), "it is answered, and that was its last");
    processes.sort_unstable();
    processes.dedup();
    assert_eq!(processes.len(), 4, "each time another process");
    house.wait_for_log("\"event\":\"handed_over\"");
    until("the first one ends", || house.log.lock().unwrap().contains("\"event\":\"stopped\""));
}

#[test]
fn what_was_remembered_and_what_is_asked_for_goes_over() {
    let mut house = House::start_with("bans: { never: [me] }\n", |_| {});
    let config = house.file("policy.yaml").display().to_string();
    let ban =
        |address: &str| command(&["bans", "add", address, "--reason", "x", "--config", &config]);
    assert!(ban("203.0.113.9").status.success());
    let process = upgraded(&house);
    assert_eq!(house.exit_code(), Some(0), "the old one has ended");
    assert!(house.file("admin.sock").exists(), "the operator's socket is the new one's");
    let list = || text(&command(&["bans", "list", "--config", &config]).stdout);
    assert!(list().contains("203.0.113.9"), "{}", list());
    assert!(ban("203.0.113.10").status.success(), "the new one writes");
    assert_eq!(status(&house, "/"), "200");
    // The new process is confined like the old one, and can hand over as well.
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // One that gives memory back has ended before it is looked at.
    let read = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).ok();
    let threads: Vec<_> = threads.filter_map(|thread| read(thread.unwrap())).collect();
    assert!(threads.len() > 1, "{threads:?}");
    for status in threads {
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
    upgraded(&house);
    assert!(list().contains("203.0.113.9") && list().contains("203.0.113.10"), "{}", list());
    let last = house.serving().unwrap();
    assert!(Command::new("kill").arg(last.to_string()).status().unwrap().success());
    until("it ends", || house.serving().is_none());
    until("its socket goes", || !house.file("admin.sock").exists());
}

#[test]
fn a_policy_that_cannot_be_used_leaves_the_old_process_serving() {
    let house = House::start();
    let good = house.read_policy();
    fs::write(house.file("policy.yaml"), good.replace("editor: me", "editor: mee")).unwrap();
    let admin = format!("unix:{}", house.file("admin.sock").display());
    let refused = command(&["upgrade", "--admin", &admin]);
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("policy.yaml:7:") && why.contains("did you mean `me`?"), "{why}");
    assert!(why.contains("goes on"), "{why}");
    assert_eq!(upgrade(&house).status.code(), Some(1), "also if the command reads it first");
    // Also one that breaks only when everything but the certificate is there.
    let files = "{ certificate: { chain: none.pem, key: none.key } }";
    fs::write(house.file("policy.yaml"), good.replace("{ self_signed: true }", files)).unwrap();
    let refused = upgrade(&house);
    assert!(text(&refused.stderr).contains("none.pem"), "{}", text(&refused.stderr));
    // And one that asks for an address that is somebody else's.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _other = TcpListener::bind(taken).unwrap();
    let https = format!("\"127.0.0.1:{}\"", house.https.port());
    let both = good.replace(&https, &format!("[{https}, \"{taken}\"]"));
    fs::write(house.file("policy.yaml"), both).unwrap();
    let refused = upgrade(&house);
    let why = text(&refused.stderr);
    assert!(why.contains("is another server running?"), "{why}");
    house.wait_for_log("\"event\":\"upgrade_failed\"");
    assert_eq!(house.serving(), Some(house.child.id()));
    assert_eq!(status(&house, "/"), "200");
    fs::write(house.file("policy.yaml"), good).unwrap();
    assert_ne!(upgraded(&house), house.child.id(), "and nothing is in the way of the next one");
}

#[test]
fn a_program_that_ends_leaves_the_old_process_serving() {
    let (house, program, _folder) = movable();
    let config = house.file("policy.yaml").display().to_string();
    for (script, said) in [("exit 3", "exit status: 3"), ("kill -SEGV $$", "signal: 11")] {
        replace(&program, script);
        let refused = upgrade(&house);
        let why = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{why}");
        assert!(why.contains("ended before it served") && why.contains(said), "{why}");
        assert_eq!(house.serving(), Some(house.child.id()));
        assert_eq!(status(&house, "/"), "200");
    }
    fs::remove_file(&program).unwrap();
    let why = text(&upgrade(&house).stderr);
    assert!(why.contains("cannot start another process"), "{why}");
    let banned = command(&["bans", "add", "203.0.113.9", "--reason", "x", "--config", &config]);
    assert!(banned.status.success(), "{}", text(&banned.stderr));
    // The real one again.
    copy_program(&program);
    upgraded(&house);
    let list = text(&command(&["bans", "list", "--config", &config]).stdout);
    assert!(list.contains("203.0.113.9"), "{list}");
}

#[test]
fn a_long_answer_under_way_is_completed_by_the_old_process() {
    let (n8n, finish) = slow_n8n();
    let mut house = House::start_as(
        |policy| {
            let at = policy.find("http://").unwrap();
            let end = at + policy.get(at..).unwrap().find('"').unwrap();
            let before = policy.get(at..end).unwrap().to_owned();
            // The connection had no word that it was the last: it is kept open for so long.
            let drain = "limits: { timeouts: { drain: 10s } }\n";
            policy.replace(&before, &format!("http://{n8n}")) + drain
        },
        |_| {},
    );
    let mut io = connect(&house);
    io.write_all(b"GET /webhook/x HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut reader = BufReader::new(io);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    let process = upgraded(&house);
    assert!(house.child.try_wait().unwrap().is_none(), "it has something to do");
    assert!(Path::new(&format!("/proc/{process}")).exists());
    finish.send(()).unwrap();
    let mut rest = String::new();
    // It closes the connection when the answer is complete.
    drop(reader.read_to_string(&mut rest));
    assert!(rest.ends_with("the end"), "{rest}");
    assert_eq!(house.exit_code(), Some(0));
}

/// An n8n that begins each answer at once, and completes the first when it is told to.
fn slow_n8n() -> (SocketAddr, std::sync::mpsc::SyncSender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (finish, told) = sync_channel(1);
    let told = Arc::new(std::sync::Mutex::new(told));
    thread::spawn(move || {
        for io in listener.incoming().flatten() {
            let told: Arc<std::sync::Mutex<Receiver<()>>> = Arc::clone(&told);
            thread::spawn(move || {
                let mut reader = BufReader::new(io.try_clone().unwrap());
                let (mut io, mut first, mut line) = (io, String::new(), String::new());
                reader.read_line(&mut first).unwrap();
                while line != "\r\n" {
                    line.clear();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                }
                io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").unwrap();
                if first.contains("/webhook/") {
                    told.lock().unwrap().recv().unwrap();
                }
                // Whoever asked only whether it is ready may have gone.
                drop(io.write_all(b"the end"));
            });
        }
    });
    (address, finish)
}

#[test]
fn a_signal_upgrades_too_and_the_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let notices = UnixDatagram::bind(&path).unwrap();
    notices.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut house = House::start_with("", |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    });
    let first = house.child.id();
    house.signal("-USR2");
    let mut heard = Vec::new();
    let mut hear = |wanted: &dyn Fn(&str) -> bool| {
        let mut buffer = [0; 256];
        until("a notice", || {
            let length = notices.recv(&mut buffer).unwrap();
            let notice = text(buffer.get(..length).unwrap());
            heard.push(notice.clone());
            wanted(&notice)
        });
        heard.last().unwrap().clone()
    };
    let told = hear(&|notice| notice.starts_with("MAINPID="));
    let first_line = told.lines().next().unwrap();
    let process: u32 = first_line.trim_start_matches("MAINPID=").parse().unwrap();
    assert_ne!(process, first);
    until("it serves", || house.serving() == Some(process));
    assert_eq!(house.exit_code(), Some(0));
    // What came before its predecessor's end may be its predecessor's.
    notices.set_nonblocking(true).unwrap();
    while notices.recv(&mut [0; 256]).is_ok() {}
    notices.set_nonblocking(false).unwrap();
    hear(&|notice| notice.contains("WATCHDOG=1"));
    assert!(!heard.iter().any(|notice| notice.contains("STOPPING=1")), "{heard:?}");
}
