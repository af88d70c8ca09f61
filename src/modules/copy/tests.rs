use crate::modules::support::testkit::bench;
use serde_json::json;

#[test]
fn content_first_second_check() {
    let b = bench("copy").file("f", "old\n");
    let a = json!({"dest": "$D/f", "content": "hi\n", "mode": "0600"});
    let p = b.check(a.clone());
    let want = json!({"before": "old\n", "after": "hi\n", "before_header": "$D/f", "after_header": "$D/f"});
    assert_eq!((&p["changed"], &p["diff"]), (&json!(true), &want));
    let r = b.real(a.clone());
    assert_eq!(r["diff"], want);
    assert_eq!(r["checksum"], "55ca6286e3e4f4fba5d0448333fa99fc5a404a73");
    assert_eq!(r["md5sum"], "764efa883dda1e11db47671c4a3bbd9e");
    assert_eq!((r["mode"].as_str(), b.mode("f")), (Some("0600"), 0o600));
    assert_eq!(b.real(a)["changed"], false);
}

#[test]
fn streamed_content_into_a_directory() {
    let b = bench("copy").dir("d");
    let a = json!({"dest": "$D/d", "_original_basename": "x.conf", "src": "/files/x.conf"});
    let p = b.check_send(a.clone(), "k=v\n");
    assert_eq!(p["diff"], json!({"before": "", "after": "k=v\n", "after_header": "/files/x.conf"}));
    let r = b.send(a.clone(), "k=v\n");
    assert_eq!((&r["dest"], &r["src"]), (&json!("$D/d/x.conf"), &json!("/files/x.conf")));
    assert_eq!(b.send(a, "k=v\n")["changed"], false);
    let r = b.real(json!({"dest": "$D/d", "content": "x"}));
    assert_eq!(r["msg"], "can not use content with a dir as dest");
}

#[test]
fn same_content_other_mode_is_an_attribute_diff() {
    let b = bench("copy").file("f", "same");
    let r = b.cycle(json!({"dest": "$D/f", "content": "same", "mode": "u=rw,go="}));
    let want = json!({"before": {"path": "$D/f", "mode": "0644"}, "after": {"path": "$D/f", "mode": "0600"}});
    assert_eq!(r["diff"], want);
    assert_eq!(r["path"], "$D/f");
}

#[test]
fn validation_failure_leaves_everything() {
    let b = bench("copy").file("f", "old");
    let before = b.tree();
    let r = b.real(json!({"dest": "$D/f", "content": "newer", "validate": "grep -q nothing %s"}));
    assert_eq!((&r["msg"], &r["exit_status"]), (&json!("failed to validate"), &json!(1)));
    let r = b.real(json!({"dest": "$D/f", "content": "newer", "validate": "true"}));
    assert_eq!(r["msg"], "validate must contain %s: true");
    assert_eq!(b.tree(), before);
    assert_eq!(b.real(json!({"dest": "$D/f", "content": "newer", "validate": "grep -q newer %s"}))["changed"], true);
}

#[test]
fn links_are_replaced_or_followed() {
    let b = bench("copy").file("f", "old").link("l", "f");
    b.real(json!({"dest": "$D/l", "content": "one", "follow": true}));
    assert_eq!((b.read("f"), b.at("l").is_symlink()), ("one".into(), true));
    b.real(json!({"dest": "$D/l", "content": "two"}));
    assert_eq!((b.read("f"), b.read("l"), b.at("l").is_symlink()), ("one".into(), "two".into(), false));
}

#[test]
fn force_backup_and_checksum() {
    let b = bench("copy").file("f", "old");
    assert_eq!(b.real(json!({"dest": "$D/f", "content": "xyz", "force": false}))["changed"], false);
    let r = b.real(json!({"dest": "$D/f", "_original_basename": "f", "checksum": "0"}));
    assert_eq!(r["msg"], "src (or content) is required");
    assert_eq!(b.send(json!({"dest": "$D/f", "checksum": "0"}), "x")["expected_checksum"], "0");
    let r = b.send(json!({"dest": "$D/f", "backup": true}), "x");
    let name = r["backup_file"].as_str().expect("a name").replace("$D/", "");
    assert_eq!((b.read(&name), b.read("f")), ("old".into(), "x".into()));
    let r = b.send(json!({"dest": "$D/no/f"}), "x");
    assert_eq!(r["msg"], "Destination directory $D/no does not exist");
}

#[test]
fn binary_and_large_content_is_not_shown() {
    let b = bench("copy").file("f", "old");
    let r = b.check_send(json!({"dest": "$D/f", "_original_basename": "f"}), "a\0b");
    assert_eq!(r["diff"], json!({"before": "old", "before_header": "$D/f", "src_binary": 1}));
    let r = b.check_send(json!({"dest": "$D/f", "_original_basename": "f"}), &"x".repeat(200_000));
    assert_eq!(r["diff"], json!({"before": "old", "before_header": "$D/f", "src_larger": 104448}));
}

#[test]
fn trees_within_the_target() {
    let b = bench("copy").file("s/a", "1").file("s/sub/b", "2").link("s/l", "a").dir("s/empty");
    let a = json!({"src": "$D/s/", "dest": "$D/t", "remote_src": true, "mode": "preserve"});
    let r = b.cycle(a.clone());
    assert_eq!((&r["checksum"], &r["dest"]), (&json!(null), &json!("$D/t")));
    assert_eq!((b.read("t/sub/b"), b.at("t/l").is_symlink(), b.at("t/empty").is_dir()), ("2".into(), true, true));
    std::fs::write(b.at("t/a"), "other").expect("written");
    std::fs::write(b.at("t/kept"), "mine").expect("written");
    b.cycle(a);
    assert_eq!((b.read("t/a"), b.read("t/kept")), ("1".into(), "mine".into()));
}

/// Content of a sender that knows how much it had to send, and can be cut.
struct Sender {
    bytes: Vec<u8>,
    from: usize,
    cut: usize,
}

impl crate::modules::ContentSource for Sender {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn sha1(&mut self) -> std::io::Result<String> {
        Ok(crate::modules::support::digest::of_bytes("sha1", &self.bytes))
    }
    fn resume(&mut self, have: sha1::Sha1, len: u64) -> std::io::Result<bool> {
        use sha1::Digest;
        let same = sha1::Sha1::digest(&self.bytes[..len as usize]) == have.finalize();
        self.from = if same { len as usize } else { 0 };
        Ok(same)
    }
    fn reader(&mut self) -> std::io::Result<Box<dyn std::io::BufRead + '_>> {
        Ok(Box::new(std::io::BufReader::new(Cut(&self.bytes[self.from..], self.cut))))
    }
}

struct Cut<'a>(&'a [u8], usize);

impl std::io::Read for Cut<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = to.len().min(self.0.len()).min(self.1);
        if n == 0 && !self.0.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        to[..n].copy_from_slice(&self.0[..n]);
        (self.0, self.1) = (&self.0[n..], self.1 - n);
        Ok(n)
    }
}

#[test]
fn what_a_killed_transfer_left_is_continued_if_it_is_the_same() {
    use crate::modules::{Ctx, find, run, support::partial};
    let d = tempfile::tempdir().unwrap();
    let dest = d.path().join("f");
    let names = || std::fs::read_dir(d.path()).unwrap().count();
    let bytes: Vec<u8> = (0..partial::WORTH as u32 + 70_000).map(|i| (i / 11) as u8).collect();
    let md5 = crate::modules::support::digest::of_bytes("md5", &bytes);
    let go = |cut: usize, hints: serde_json::Value| {
        let content = Sender { bytes: bytes.clone(), from: 0, cut };
        let mut ctx = Ctx { content: Some(Box::new(content)), ..Ctx::bare() };
        ctx.hints = hints.as_object().cloned().unwrap();
        run(find("copy").unwrap(), &mut ctx, json!({"dest": dest, "src": "/s"}).as_object().unwrap())
    };
    // one that fails while it lives leaves nothing
    let r = go(100_000, json!({}));
    assert_eq!((&r["failed"], names()), (&json!(true), 0));
    for (left, need) in [
        (&bytes[..5_000_000], bytes.len() - 5_000_000),
        (&b"other content"[..], bytes.len()),
        (&bytes[..], 0),
        (&[&bytes[..], &b"and more"[..]].concat(), 0),
    ] {
        partial::leave(&dest, left);
        let r = go(need, json!({}));
        assert!(!r.get("failed").and_then(serde_json::Value::as_bool).unwrap_or(false), "{r:?}");
        assert!(std::fs::read(&dest).unwrap() == bytes);
        assert_eq!((r["md5sum"].as_str(), names()), (Some(md5.as_str()), 1), "and nothing else is there");
        std::fs::remove_file(&dest).unwrap();
    }
    let r = go(bytes.len(), json!({"unseen": true}));
    assert!(r.get("md5sum").is_none() && r["checksum"].is_string(), "{r:?}");
}
