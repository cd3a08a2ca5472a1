//! A lean load client: a thread and a kept-alive connection for each client, bodies written by hand, nothing parsed
//! that need not be. It shares the cores with the server it measures.
//!
//!     load HOST:PORT log-metric|log-batch CLIENTS SECONDS RUN_ID…
//!     load HOST:PORT post CLIENTS SECONDS PATH FILE [PER_SECOND]
//!
//! Each client logs to a run of its own, or posts the file's JSON to the path; as fast as it can, or all clients together
//! so many times a second: servers of different speed then do the same work. Prints one line of JSON.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (address, kind) = (args[1].clone(), args[2].clone());
    let clients: usize = args[3].parse().expect("a number of clients");
    let seconds: f64 = args[4].parse().expect("a number of seconds");
    let runs = &args[5..];
    let begin = Instant::now() + Duration::from_millis(200);
    let end = begin + Duration::from_secs_f64(seconds);
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            // Posts all go to the one path.
            let run = if kind == "post" { &runs[0] } else { &runs[client % runs.len()] };
            let (address, kind, run) = (address.clone(), kind.clone(), run.clone());
            std::thread::spawn(move || work(&address, &kind, &run, client, begin, end))
        })
        .collect();
    let (mut times, mut failed) = (Vec::new(), 0);
    for thread in threads {
        let (some, bad) = thread.join().expect("a client panicked");
        times.extend(some);
        failed += bad;
    }
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0);
    println!(
        "{{\"requests\": {}, \"failed\": {failed}, \"per_second\": {:.1}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}}}",
        times.len(),
        times.len() as f64 / seconds,
        at(0.5) as f64 / 1e6,
        at(0.99) as f64 / 1e6
    );
}

fn work(address: &str, kind: &str, run: &str, client: usize, begin: Instant, end: Instant) -> (Vec<u64>, u64) {
    let (mut times, mut failed, mut step) = (Vec::new(), 0, 0_u64);
    let mut stream = connect(address);
    let mut buffer = vec![0; 64 * 1024];
    // The same bytes each time: made once.
    let fixed = (kind == "post").then(|| {
        let file = std::env::args().nth(6).expect("a file to post");
        (run.to_owned(), std::fs::read_to_string(file).expect("a file that can be read"))
    });
    let fixed = fixed.map(|(path, body)| head(address, &path, &body));
    let pause = (kind == "post").then(|| std::env::args().nth(7)).flatten().map(|per_second| {
        let per_second: f64 = per_second.parse().expect("a number of requests a second");
        let clients: f64 = std::env::args().nth(3).and_then(|clients| clients.parse().ok()).expect("a number of clients");
        Duration::from_secs_f64(clients / per_second)
    });
    std::thread::sleep(begin.saturating_duration_since(Instant::now()));
    while Instant::now() < end {
        step += 1;
        if let Some(pause) = pause {
            // Late ones do not catch up.
            let due = begin + pause.mul_f64(step as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let made;
        let request = match &fixed {
            Some(request) => request,
            None => {
                made = head(address, &format!("/api/2.0/mlflow/runs/{kind}"), &body(kind, run, client, step));
                &made
            }
        };
        let started = Instant::now();
        match exchange(&mut stream, request.as_bytes(), &mut buffer) {
            Some(true) => times.push(started.elapsed().as_nanos() as u64),
            Some(false) => failed += 1,
            None => {
                failed += 1;
                stream = connect(address);
            }
        }
    }
    (times, failed)
}

fn head(address: &str, path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    stream
}

fn body(kind: &str, run: &str, client: usize, step: u64) -> String {
    let at = 1_700_000_000_000 + step;
    if kind == "log-metric" {
        return format!(
            "{{\"run_id\":\"{run}\",\"key\":\"loss\",\"value\":{}.5,\"timestamp\":{at},\"step\":{step}}}",
            step + client as u64
        );
    }
    let metrics: Vec<String> = (0..100)
        .map(|n| format!("{{\"key\":\"m{n}\",\"value\":{step}.25,\"timestamp\":{at},\"step\":{step}}}"))
        .collect();
    format!("{{\"run_id\":\"{run}\",\"metrics\":[{}],\"params\":[],\"tags\":[]}}", metrics.join(","))
}

/// Whether the server said 200; nothing if the connection broke.
fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> Option<bool> {
    stream.write_all(request).ok()?;
    let mut filled = 0;
    let (head, length) = loop {
        let read = stream.read(&mut buffer[filled..]).ok().filter(|read| *read != 0)?;
        filled += read;
        if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            let text = std::str::from_utf8(&buffer[..at]).ok()?.to_ascii_lowercase();
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())?;
            break (at + 4, length);
        }
    };
    while filled < head + length {
        filled += stream.read(&mut buffer[filled..]).ok().filter(|read| *read != 0)?;
    }
    Some(buffer.starts_with(b"HTTP/1.1 200"))
}
