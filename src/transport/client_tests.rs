//! Agents that are broken or hostile, played by the test at the other end of an in-process stream.

use super::CallError;
use super::channel::{Channel, Exit, Tail};
use super::client::Client;
use super::pool::Payload;
use super::second::{Here, Second};
use crate::proto::{FrameBuf, FrameKind, Hello, MAX_FRAME, Request, encode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, split};
use tokio::sync::oneshot;

/// The test's end: reads requests, writes whatever it likes.
struct Other {
    stream: DuplexStream,
    buf: FrameBuf,
    exit: Option<oneshot::Sender<Exit>>,
}

impl Other {
    async fn frame(&mut self) -> (FrameKind, u64, Vec<u8>) {
        let mut part = [0u8; 8192];
        loop {
            if let Some(f) = self.buf.next_frame().unwrap() {
                if f.kind == FrameKind::Ping {
                    continue;
                }
                return (f.kind, f.id, f.payload);
            }
            let n = self.stream.read(&mut part).await.unwrap();
            assert!(n > 0, "the controller closed");
            self.buf.push(&part[..n]);
        }
    }
    async fn say(&mut self, kind: FrameKind, id: u64, payload: &[u8]) {
        let _ = self.stream.write_all(&encode(kind, id, payload).unwrap()).await;
    }
}

fn hello(version: &str) -> Vec<u8> {
    let h = Hello { version: version.into(), pid: 1, user: "root".into(), home: "/root".into(), ..Hello::default() };
    encode(FrameKind::Hello, 0, &serde_json::to_vec(&h).unwrap()).unwrap()
}

fn no_second() -> Second {
    Second::new(Here::beside(&Err(CallError::Failed("none".into()))), false)
}

async fn meet(patience: Duration) -> (Arc<Client>, Other) {
    meet_with(patience, no_second(), hello(crate::agent::VERSION)).await
}

async fn meet_with(patience: Duration, second: Second, hello: Vec<u8>) -> (Arc<Client>, Other) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (stdout, stdin) = split(ours);
    let (tell, exit) = oneshot::channel();
    let channel =
        Channel { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), exit };
    let c = Client::start("web".into(), channel, hello, Tail::default(), patience, second).await;
    (c.unwrap(), Other { stream: theirs, buf: FrameBuf::default(), exit: Some(tell) })
}

/// Calls, lets the other side act once the request is there, and answers the error.
async fn failing<F: AsyncFnOnce(&mut Other, u64)>(act: F) -> CallError {
    let (client, mut other) = meet(Duration::from_secs(1)).await;
    let call = client.call(Request::default(), None, None);
    let side = async {
        let (kind, id, _) = other.frame().await;
        assert_eq!(kind, FrameKind::Request);
        act(&mut other, id).await;
    };
    let end = Instant::now();
    let (r, ()) = tokio::join!(call, side);
    assert!(end.elapsed() < Duration::from_secs(30), "took {:?}", end.elapsed());
    r.unwrap_err()
}

#[tokio::test]
async fn absurd_length() {
    let e = failing(async |o, _| {
        let _ = o.stream.write_all(&(MAX_FRAME + 1).to_be_bytes()).await;
    })
    .await;
    assert!(matches!(&e, CallError::Unreachable(m) if m.contains("67108865 bytes")), "{e}");
}

#[tokio::test]
async fn text_instead_of_frames() {
    let e = failing(async |o, _| drop(o.stream.write_all(b"Segmentation fault\n").await)).await;
    assert!(matches!(&e, CallError::Unreachable(m) if m.contains("no answer of an agent")), "{e}");
}

#[tokio::test]
async fn half_a_frame_then_silence() {
    let e = failing(async |o, id| {
        let whole = encode(FrameKind::Response, id, b"{\"result\":{}}").unwrap();
        let _ = o.stream.write_all(&whole[..15]).await;
    })
    .await;
    assert!(matches!(&e, CallError::Unreachable(m) if m.contains("no sign of life")), "{e}");
}

#[tokio::test]
async fn wrong_ids() {
    let e = failing(async |o, id| o.say(FrameKind::Response, id + 1000, b"{\"result\":{}}").await).await;
    assert!(matches!(&e, CallError::Failed(m) if m.contains("never sent")), "{e}");
}

#[tokio::test]
async fn deep_nesting_and_invalid_utf8() {
    let deep = format!("{{\"result\":{{\"a\":{}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [deep.into_bytes(), b"{\"result\":{\"a\":\"\xff\xfe\"}}".to_vec(), b"[]".to_vec(), vec![]] {
        let e = failing(async |o, id| o.say(FrameKind::Response, id, &body).await).await;
        assert!(matches!(&e, CallError::Failed(m) if m.contains("cannot be understood")), "{e}");
    }
}

#[tokio::test]
async fn controller_words_from_an_agent() {
    let e = failing(async |o, id| o.say(FrameKind::Request, id, b"{}").await).await;
    assert!(matches!(&e, CallError::Failed(m) if m.contains("only a controller")), "{e}");
}

#[tokio::test]
async fn death_of_the_agent() {
    let e = failing(async |o, _| {
        let _ = o.exit.take().unwrap().send(Exit::Code(101));
        let _ = o.stream.shutdown().await;
    })
    .await;
    assert!(matches!(&e, CallError::Failed(m) if m.contains("ended with code 101")), "{e}");
}

#[tokio::test]
async fn endless_content_is_cut_by_the_sink() {
    struct Small(usize);
    impl std::io::Write for Small {
        fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(b.len()).ok_or_else(|| std::io::Error::other("enough"))?;
            Ok(b.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (client, mut other) = meet(Duration::from_secs(5)).await;
    let mut sink = Small(1 << 20);
    let call = client.call(Request::default(), None, Some(&mut sink));
    let side = async {
        let (_, id, _) = other.frame().await;
        loop {
            tokio::select! {
                f = other.frame() => { assert_eq!((f.0, f.1), (FrameKind::Cancel, id)); return }
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            for _ in 0..8 {
                other.say(FrameKind::Data, id, &[0; 32 << 10]).await;
            }
        }
    };
    let (r, ()) = tokio::join!(call, side);
    assert_eq!(r.unwrap_err(), CallError::Failed("enough".into()));
    assert!(client.usable());
}

#[tokio::test]
async fn wrong_version() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (stdout, stdin) = split(ours);
    let (_tell, exit) = oneshot::channel();
    let channel =
        Channel { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), exit };
    let r =
        Client::start("web".into(), channel, hello("0.0.0/0"), Tail::default(), Duration::from_secs(2), no_second())
            .await;
    assert!(matches!(&r, Err(CallError::Failed(m)) if m.contains("version 0.0.0/0")));
    drop(theirs);
}

#[tokio::test]
async fn content_goes_in_the_portions_asked_for() {
    let (client, mut other) = meet(Duration::from_secs(5)).await;
    let bytes: Arc<[u8]> = (0..300_000u32).map(|i| i as u8).collect();
    let payload = Payload::Bytes(bytes.clone());
    let call = client.call(Request::default(), Some(&payload), None);
    let side = async {
        let (_, id, body) = other.frame().await;
        let req: Request = serde_json::from_slice(&body).unwrap();
        let content = req.content.unwrap();
        assert_eq!((content.size, content.inline), (300_000, false));
        let mut got = vec![];
        other.say(FrameKind::WantData, id, &100_000u64.to_be_bytes()).await;
        while got.len() < 100_000 {
            got.extend(other.frame().await.2);
        }
        assert_eq!(got.len(), 100_000);
        other.say(FrameKind::WantData, id, &1_000_000u64.to_be_bytes()).await;
        loop {
            match other.frame().await {
                (FrameKind::Data, _, d) => got.extend(d),
                (kind, _, sum) => {
                    assert_eq!((kind, sum), (FrameKind::DataEnd, content.sha1.unwrap().into_bytes()));
                    break;
                }
            }
        }
        assert!(got[..] == bytes[..]);
        other.say(FrameKind::Response, id, b"{\"result\":{\"changed\":true}}").await;
    };
    let (r, ()) = tokio::join!(call, side);
    assert_eq!(r.unwrap().result["changed"], true);
}

/// A request for a module of the second file, and that file.
fn of_second() -> (tempfile::TempDir, Second, String, Request) {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    bytes.truncate(300_000);
    std::fs::write(dir.path().join("dirigo-agent-more"), &bytes).unwrap();
    let agent = camino::Utf8PathBuf::from_path_buf(dir.path().join("agent")).unwrap();
    let sum = crate::proto::hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    let req = Request { module: "archive".into(), ..Request::default() };
    (dir, Second::new(Here::beside(&Ok(agent)), false), sum, req)
}

/// Reads one upload; its number and bytes.
async fn upload(other: &mut Other, sum: &str) -> (u64, Vec<u8>) {
    let (mut number, mut z) = (None, flate2::write::DeflateDecoder::new(vec![]));
    loop {
        let (kind, id, payload) = other.frame().await;
        assert_eq!(*number.get_or_insert(id), id);
        match kind {
            FrameKind::Second => std::io::Write::write_all(&mut z, &payload).unwrap(),
            FrameKind::SecondEnd => {
                assert_eq!(payload, sum.as_bytes());
                return (id, z.finish().unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_second_file_goes_before_the_first_request_that_needs_it() {
    let (dir, second, sum, req) = of_second();
    let (client, mut other) = meet_with(Duration::from_secs(5), second, hello(crate::agent::VERSION)).await;
    let side = async {
        let (number, bytes) = upload(&mut other, &sum).await;
        assert!(number == 1 && bytes == std::fs::read(dir.path().join("dirigo-agent-more")).unwrap());
        for _ in 0..2 {
            let (kind, id, body) = other.frame().await;
            let got: Request = serde_json::from_slice(&body).unwrap();
            assert_eq!((kind, got.second.unwrap().sha256), (FrameKind::Request, sum.clone()));
            other.say(FrameKind::Response, id, b"{\"result\":{}}").await;
        }
        // one that needs nothing says nothing of it
        let (_, id, body) = other.frame().await;
        assert_eq!(serde_json::from_slice::<Request>(&body).unwrap().second, None);
        other.say(FrameKind::Response, id, b"{\"result\":{}}").await;
    };
    let calls = async {
        client.call(req.clone(), None, None).await.unwrap();
        client.call(req, None, None).await.unwrap();
        client.call(Request { module: "command".into(), ..Request::default() }, None, None).await.unwrap();
    };
    tokio::join!(side, calls);
}

#[tokio::test]
async fn an_agent_that_has_it_gets_no_upload() {
    let (_dir, second, sum, req) = of_second();
    let h = Hello { version: crate::agent::VERSION.into(), files: vec![sum.clone()], ..Hello::default() };
    let h = encode(FrameKind::Hello, 0, &serde_json::to_vec(&h).unwrap()).unwrap();
    let (client, mut other) = meet_with(Duration::from_secs(5), second, h).await;
    let side = async {
        let (kind, id, _) = other.frame().await;
        assert_eq!(kind, FrameKind::Request);
        // it was wrong about that, and says so twice; one upload is the answer
        other.say(FrameKind::WantSecond, id, &0u64.to_be_bytes()).await;
        other.say(FrameKind::WantSecond, id, &0u64.to_be_bytes()).await;
        assert_eq!(upload(&mut other, &sum).await.0, 1);
        other.say(FrameKind::Response, id, b"{\"result\":{}}").await;
    };
    let (r, ()) = tokio::join!(client.call(req, None, None), side);
    r.unwrap();
}

#[tokio::test]
async fn an_agent_that_never_has_enough_is_refused() {
    let (_dir, second, sum, req) = of_second();
    let (client, mut other) = meet_with(Duration::from_secs(5), second, hello(crate::agent::VERSION)).await;
    let side = async {
        let mut number = upload(&mut other, &sum).await.0;
        let (_, id, _) = other.frame().await;
        for _ in 0..7 {
            other.say(FrameKind::WantSecond, id, &number.to_be_bytes()).await;
            number = upload(&mut other, &sum).await.0;
        }
        other.say(FrameKind::WantSecond, id, &number.to_be_bytes()).await;
        assert_eq!(other.frame().await.0, FrameKind::Cancel);
    };
    let (r, ()) = tokio::join!(client.call(req, None, None), side);
    assert!(matches!(r, Err(CallError::Failed(m)) if m.contains("second file 8 times")));
}

#[tokio::test]
async fn pieces_of_the_second_file_come_from_no_agent() {
    let e = failing(async |o, id| o.say(FrameKind::Second, id, b"x").await).await;
    assert!(matches!(&e, CallError::Failed(m) if m.contains("only a controller")), "{e}");
}
