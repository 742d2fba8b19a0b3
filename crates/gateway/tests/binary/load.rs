//! A crowd that takes all the memory it can get.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{
    house::{House, free_port, until},
    running::{connect, get, status},
};

const CEILING: u64 = 64 << 20;

/// How many connections, and how much on each: twice the ceiling.
const CROWD: u16 = 4200;
const PIECE: usize = 31 * 1024;

/// The memory of a process that is its own, in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn dial(source: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into()).ok()?;
    socket.connect(&to.into()).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket.into())
}

#[test]
fn memory_has_a_ceiling_and_whoever_is_known_is_served_meanwhile() {
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let house = House::start_as(
        |policy| {
            let listen = format!("http: \"{http}\"");
            // What comes between two looks at memory is what the free quarter is for.
            let limits = "limits: { memory: 64MiB, connections: { rate: 3000/s }, timeouts: { head: 5m } }\n";
            policy.replace("http: []", &listen) + limits
        },
        |_| {},
    );
    let pid = house.child.id();
    let before = resident(pid);
    assert!(before < CEILING / 2, "{before}");
    let mut kept = connect(&house);
    assert!(get(&mut kept, "/webhook/x").starts_with("HTTP/1.1 200 "));
    let over = AtomicBool::new(false);
    let peak = thread::scope(|scope| {
        let highest = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::SeqCst) {
                peak = peak.max(resident(pid));
                thread::sleep(Duration::from_millis(20));
            }
            peak
        });
        let mut head = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-filler: ".to_vec();
        head.resize(PIECE, b'x');
        let mut crowd = Vec::new();
        for n in 0..CROWD {
            let [high, low] = (n / 60).to_be_bytes();
            if let Some(mut io) = dial(Ipv4Addr::new(127, 9, high, low + 2), http) {
                // Whoever was sent away already does not take it.
                drop(io.write(&head));
                crowd.push(io);
            }
            if n % 100 == 0 {
                assert_eq!(status(&house, "/webhook/x"), "200", "after {n}");
            }
        }
        thread::sleep(Duration::from_millis(500));
        assert_eq!(status(&house, "/webhook/x"), "200");
        over.store(true, Ordering::SeqCst);
        highest.join().unwrap()
    });
    assert!(peak < CEILING, "{peak} of {CEILING}");
    assert!(get(&mut kept, "/webhook/x").starts_with("HTTP/1.1 200 "), "what was open stays");
    // The crowd is gone, and nobody comes after it.
    until("what it needed is given back", || resident(pid) < before + CEILING / 4);
    house.wait_for_log("\"event\":\"memory_pressure\"");
    let metrics = house.admin("GET", "/metrics");
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"memory\"}"), "{metrics}");
}
