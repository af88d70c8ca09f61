//! Where sent modules stay: files named by their content in a directory of the user's own. A file is used
//! only if its content still has that checksum, and if nobody else could have written it.

use crate::modules::ContentSource;
use crate::proto::hex;
use sha1::{Digest, Sha1};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files that were not used for so long go.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// The file with the content that was announced: one that is here already, or it is sent now.
pub fn receive(content: &mut dyn ContentSource, remote_tmp: &str) -> io::Result<PathBuf> {
    let dir = store(remote_tmp)?;
    let sum = content.sha1()?;
    let path = dir.join(format!("module-{sum}"));
    if genuine(&path, &sum) {
        return Ok(path);
    }
    prune(&dir);
    let part = dir.join(format!("part-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()));
    let mut f = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let sent = io::copy(&mut content.reader()?, &mut f).and_then(|_| f.flush()).and_then(|()| fs::rename(&part, &path));
    if let Err(e) = sent {
        let _ = fs::remove_file(&part);
        return Err(e);
    }
    Ok(path)
}

/// Whether the file is ours alone and has this checksum.
fn genuine(path: &Path, sha1: &str) -> bool {
    let ours = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && is_ours(&m));
    ours && fs::read(path).is_ok_and(|b| hex(&Sha1::digest(&b)) == sha1)
}

fn is_ours(m: &fs::Metadata) -> bool {
    m.uid() == nix::unistd::geteuid().as_raw() && m.mode() & 0o077 == 0
}

/// Directories in which there may be one of ours: what was asked for, then those that always are.
fn bases(remote_tmp: &str) -> Vec<PathBuf> {
    let wish = if remote_tmp.is_empty() { "~/.ansible/tmp" } else { remote_tmp };
    [crate::modules::expand_path(wish), "/var/tmp".into(), std::env::temp_dir().to_string_lossy().into_owned()]
        .into_iter()
        .filter(|p| p.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// The first directory that can be made and is ours alone.
fn first_of(bases: &[PathBuf], name: &str, fresh: bool) -> io::Result<PathBuf> {
    let mut last = io::Error::other("no directory for temporary files");
    for base in bases {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(base).and_then(|()| {
            let dir = base.join(name);
            match DirBuilder::new().mode(0o700).create(&dir) {
                Err(e) if fresh || e.kind() != io::ErrorKind::AlreadyExists => Err(e),
                _ => Ok(dir),
            }
        });
        match made {
            Ok(dir) if fs::symlink_metadata(&dir).is_ok_and(|m| m.is_dir() && is_ours(&m)) => return Ok(dir),
            Ok(dir) => last = io::Error::other(format!("{} is not this user's alone", dir.display())),
            Err(e) => last = io::Error::new(e.kind(), format!("{}: {e}", base.display())),
        }
    }
    Err(last)
}

fn store(remote_tmp: &str) -> io::Result<PathBuf> {
    first_of(&bases(remote_tmp), &format!("dirigo-{}", nix::unistd::geteuid()), false)
}

/// A new directory for one call.
pub fn private_dir(remote_tmp: &str) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let name =
        format!("ansible-tmp-{now:.7}-{}-{}", std::process::id(), rand::random_range(10u64.pow(13)..10u64.pow(15)));
    first_of(&bases(remote_tmp), &name, true)
}

/// Removes what was not written for long: a file in use is written anew at its next use.
fn prune(dir: &Path) {
    for e in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = e.file_name();
        let name = name.to_string_lossy();
        if (name.starts_with("module-") || name.starts_with("part-"))
            && let Ok(m) = e.metadata()
            && m.modified().ok().and_then(|t| t.elapsed().ok()).is_some_and(|age| age > KEEP)
        {
            let _ = fs::remove_file(e.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(Vec<u8>, usize);
    impl ContentSource for Text {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn sha1(&mut self) -> io::Result<String> {
            // of "hello"
            Ok("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d".into())
        }
        fn reader(&mut self) -> io::Result<Box<dyn io::BufRead + '_>> {
            self.1 += 1;
            Ok(Box::new(self.0.as_slice()))
        }
    }

    #[test]
    fn sent_once_and_never_trusted() {
        let t = tempfile::tempdir().expect("a directory");
        let tmp = t.path().to_string_lossy();
        let mut c = Text(b"hello".to_vec(), 0);
        let path = receive(&mut c, &tmp).expect("stored");
        assert!(path.starts_with(t.path()));
        assert_eq!(receive(&mut c, &tmp).expect("found"), path);
        assert_eq!(c.1, 1);
        fs::write(&path, "evil!").expect("written");
        receive(&mut c, &tmp).expect("sent again");
        assert_eq!((c.1, fs::read(&path).expect("there").as_slice()), (2, b"hello".as_slice()));
        let dir = path.parent().expect("has one");
        assert_eq!(fs::metadata(dir).expect("there").mode() & 0o777, 0o700);
    }
}
