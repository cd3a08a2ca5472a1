//! Peers that are slow on purpose, over real sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use lathe_server::connections::{Patience, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Longer than anything here waits for.
const LONG: Duration = Duration::from_secs(60);

const PATIENT: Patience = Patience {
    first_bytes: LONG,
    head: LONG,
    body: LONG,
    body_bytes_per_s: 1_000,
    write: LONG,
};

const SHORT: Duration = Duration::from_millis(300);

struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

async fn served(patience: Patience) -> Served {
    let router = Router::new()
        .route(
            "/",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()),
        )
        .route(
            "/length",
            post(async |body: Result<Bytes, _>| match body {
                Ok(body) => body.len().to_string(),
                Err(_) => "broken".into(),
            }),
        )
        .route("/much", get(async || vec![b'x'; 64 << 20]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(serve(listener, router, patience, None, async {
        let _ = stopped.await;
    }));
    Served { address, stop, ended }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// What comes until the peer closes, and how long that took.
async fn to_its_end(stream: &mut TcpStream) -> (String, Duration) {
    let started = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    // A peer that resets has closed as well.
    let _ = read.expect("the connection is closed");
    (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4_096];
    let read = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_dribbles_a_preface_is_closed() {
    let served = served(Patience {
        first_bytes: SHORT,
        ..PATIENT
    })
    .await;
    for first in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let mut stream = served.connect().await;
        stream.write_all(first.as_bytes()).await.unwrap();
        let (_, took) = to_its_end(&mut stream).await;
        assert!(SHORT / 2 < took && took < LONG / 3, "{first:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_dribbled_runs_out_of_time() {
    let served = served(Patience {
        head: SHORT,
        ..PATIENT
    })
    .await;
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        .await
        .unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let started = Instant::now();
    let dribble = async {
        loop {
            tokio::time::sleep(SHORT / 10).await;
            if writer.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = reader.read_to_end(&mut answer) => {}
        () = dribble => {}
        () = tokio::time::sleep(LONG) => panic!("a dribbled head is waited for"),
    }
    assert!(started.elapsed() < LONG / 3);
}

#[tokio::test]
async fn a_body_that_stops_or_dribbles_is_told_so_and_one_that_flows_is_not() {
    let served = served(Patience {
        body: SHORT,
        ..PATIENT
    })
    .await;
    let head = b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600\r\n\r\n";
    let mut silent = served.connect().await;
    silent.write_all(head).await.unwrap();
    let (told, _) = to_its_end(&mut silent).await;
    assert!(
        told.starts_with("HTTP/1.1 408") && told.contains("too slowly"),
        "{told}"
    );

    let mut dribbling = served.connect().await;
    dribbling.write_all(head).await.unwrap();
    let (mut reader, mut writer) = dribbling.split();
    let dribble = async {
        // A hundred bytes a second, where a thousand are wanted.
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if writer.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    let mut told = Vec::new();
    tokio::join!(dribble, async {
        let _ = reader.read_to_end(&mut told).await;
    });
    assert!(
        told.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&told)
    );

    // Longer than the patience in all, and never too slow.
    let mut flowing = served.connect().await;
    flowing.write_all(head).await.unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(80)).await;
        flowing.write_all(&[b'x'; 100]).await.unwrap();
    }
    let told = answer(&mut flowing).await;
    assert!(
        told.starts_with("HTTP/1.1 200") && told.ends_with("600"),
        "{told}"
    );
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_let_go() {
    let served = served(Patience {
        write: SHORT,
        ..PATIENT
    })
    .await;
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(SHORT * 4).await;
    let (got, _) = to_its_end(&mut stream).await;
    assert!(
        got.len() < 64 << 20,
        "everything was kept for a peer that did not read"
    );
}

#[tokio::test]
async fn both_versions_of_http_are_answered_and_stopping_lets_requests_end() {
    let served = served(PATIENT).await;
    let mut first = served.connect().await;
    for _ in 0..2 {
        first
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let told = answer(&mut first).await;
        assert!(
            told.starts_with("HTTP/1.1 200") && told.ends_with("127.0.0.1"),
            "{told}"
        );
    }
    let second = hyper_util::rt::TokioIo::new(served.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, second)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = axum::http::Request::get("http://localhost/")
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);

    // One is in its body while the server stops: it is answered, the idle ones are closed.
    let mut under_way = served.connect().await;
    under_way
        .write_all(b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop.send(()).unwrap();
    to_its_end(&mut first).await;
    assert!(!served.ended.is_finished());
    under_way.write_all(b"x").await.unwrap();
    let told = answer(&mut under_way).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    tokio::time::timeout(Duration::from_secs(5), served.ended)
        .await
        .expect("the server ends")
        .unwrap();
}
