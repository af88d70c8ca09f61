//! Writing archives, and telling whether one that is there holds the same.

use crate::modules::support::digest::{of_file, of_reader};
use crate::modules::support::{accounts::Names, exec::find_program, pytext::os_error};
use crate::modules::{Ctx, Failure};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Gz,
    Bz2,
    Xz,
    Tar,
    Zip,
}

impl Format {
    pub fn by_name(s: &str) -> Option<Format> {
        Some(match s {
            "gz" => Format::Gz,
            "bz2" => Format::Bz2,
            "xz" => Format::Xz,
            "tar" => Format::Tar,
            "zip" => Format::Zip,
            _ => return None,
        })
    }
}

/// A file, directory or link, and its name in the archive.
#[derive(Clone, Debug)]
pub struct Member {
    pub path: PathBuf,
    pub name: String,
}

/// Writes the archive (or, if it is none, the one compressed file).
pub fn write(out: &mut File, members: &[Member], format: Format, is_archive: bool) -> Result<(), Failure> {
    let fail = |e: io::Error| Failure::new(format!("Error when writing the archive: {e}"));
    if format == Format::Zip {
        return zip_to(out, members);
    }
    // Compression reads the plain bytes from a file without a name.
    let mut plain = tempfile::tempfile().map_err(fail)?;
    match (is_archive, members) {
        (false, [one]) => drop(io::copy(&mut open(&one.path)?, &mut plain).map_err(fail)?),
        _ => tar_to(&mut plain, members)?,
    }
    plain.seek(SeekFrom::Start(0)).map_err(fail)?;
    match format {
        Format::Gz => {
            let mut w = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            io::copy(&mut plain, &mut w).map_err(fail)?;
            w.finish().map_err(fail)?;
        }
        Format::Bz2 => {
            let mut w = bzip2::write::BzEncoder::new(out, bzip2::Compression::best());
            io::copy(&mut plain, &mut w).map_err(fail)?;
            w.finish().map_err(fail)?;
        }
        Format::Xz => xz(plain, out, "-c")?,
        Format::Tar | Format::Zip => drop(io::copy(&mut plain, out).map_err(fail)?),
    }
    Ok(())
}

fn open(p: &Path) -> Result<File, Failure> {
    File::open(p).map_err(|e| Failure::new(os_error(&e, p)))
}

fn xz(from: File, to: &File, how: &str) -> Result<(), Failure> {
    let tool = find_program(&Ctx::bare(), "xz").ok_or("the program xz was not found on this host")?;
    let to = to.try_clone()?;
    let out = Command::new(tool).arg(how).stdin(Stdio::from(from)).stdout(Stdio::from(to)).output()?;
    match out.status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("xz failed: {}", String::from_utf8_lossy(&out.stderr)))),
    }
}

fn tar_to(out: &mut File, members: &[Member]) -> Result<(), Failure> {
    let mut names = Names::default();
    let mut b = tar::Builder::new(out);
    for m in members {
        let fail = |e: io::Error| Failure::new(format!("Error when adding {}: {e}", m.path.display()));
        let st = fs::symlink_metadata(&m.path).map_err(fail)?;
        let mut h = tar::Header::new_gnu();
        h.set_metadata(&st);
        h.set_username(&names.user(st.uid()).unwrap_or_default()).map_err(fail)?;
        h.set_groupname(&names.group(st.gid()).unwrap_or_default()).map_err(fail)?;
        if st.is_symlink() {
            h.set_size(0);
            b.append_link(&mut h, &m.name, fs::read_link(&m.path).map_err(fail)?).map_err(fail)?;
        } else if st.is_dir() {
            h.set_size(0);
            b.append_data(&mut h, format!("{}/", m.name), io::empty()).map_err(fail)?;
        } else if st.is_file() {
            // A file that grows meanwhile must not spoil the archive.
            let data = open(&m.path)?.take(st.len());
            b.append_data(&mut h, &m.name, data).map_err(fail)?;
        } else {
            return Err(Failure::new(format!("{} is a special file and cannot be archived", m.path.display())));
        }
    }
    b.finish().map_err(|e| Failure::new(e.to_string()))
}

fn zip_to(out: &mut File, members: &[Member]) -> Result<(), Failure> {
    let mut z = zip::ZipWriter::new(out);
    for m in members {
        let fail = |e: &dyn std::fmt::Display| Failure::new(format!("Error when adding {}: {e}", m.path.display()));
        // A zip holds what a link leads to.
        let st = fs::metadata(&m.path).map_err(|e| fail(&e))?;
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .large_file(st.len() > u64::from(u32::MAX) / 2)
            .unix_permissions(st.mode() & 0o7777);
        if st.is_dir() {
            z.add_directory(format!("{}/", m.name), options).map_err(|e| fail(&e))?;
        } else {
            z.start_file(m.name.as_str(), options).map_err(|e| fail(&e))?;
            io::copy(&mut open(&m.path)?, &mut z).map_err(|e| fail(&e))?;
        }
    }
    z.finish().map_err(|e| Failure::new(e.to_string()))?.flush()?;
    Ok(())
}

/// Whether `dest` holds these members already. Whatever cannot be read is not the same.
pub fn same(dest: &Path, members: &[Member], format: Format, is_archive: bool) -> bool {
    match (is_archive, members) {
        (false, [one]) => {
            let sum = plain_of(dest, format).and_then(|f| of_reader("sha1", f));
            matches!((sum, of_file("sha1", &one.path)), (Ok(a), Ok(b)) if a == b)
        }
        _ => matches!((listed(dest, format), expected(members, format)), (Ok(a), Ok(b)) if a == b),
    }
}

/// The uncompressed bytes of a file.
fn plain_of(path: &Path, format: Format) -> io::Result<Box<dyn Read>> {
    let f = File::open(path)?;
    Ok(match format {
        Format::Gz => Box::new(flate2::read::MultiGzDecoder::new(f)),
        Format::Bz2 => Box::new(bzip2::read::MultiBzDecoder::new(f)),
        Format::Xz => {
            let mut out = tempfile::tempfile()?;
            xz(f, &out, "-dc").map_err(|e| io::Error::other(e.msg))?;
            out.seek(SeekFrom::Start(0))?;
            Box::new(out)
        }
        Format::Tar | Format::Zip => Box::new(f),
    })
}

/// One member as text: name, kind, mode, owner, time and content for tar; name and content for zip.
fn listed(dest: &Path, format: Format) -> io::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    if format == Format::Zip {
        let mut z = zip::ZipArchive::new(File::open(dest)?).map_err(io::Error::other)?;
        for i in 0..z.len() {
            let f = z.by_index(i).map_err(io::Error::other)?;
            let name = f.name().to_owned();
            all.insert(format!("{name} {}", of_reader("sha1", f)?));
        }
        return Ok(all);
    }
    let mut t = tar::Archive::new(plain_of(dest, format)?);
    for e in t.entries()? {
        let mut e = e?;
        let name = e.path()?.to_string_lossy().trim_end_matches('/').to_owned();
        let link = e.link_name()?.map(|l| l.to_string_lossy().into_owned()).unwrap_or_default();
        let h = e.header();
        let key = (h.entry_type().as_byte(), h.mode()? & 0o7777, h.uid()?, h.gid()?, h.mtime()?);
        let sum = of_reader("sha1", &mut e)?;
        all.insert(format!("{name} {link} {key:?} {sum}"));
    }
    Ok(all)
}

fn expected(members: &[Member], format: Format) -> io::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for m in members {
        if format == Format::Zip {
            let dir = m.path.is_dir();
            let sum = if dir { of_reader("sha1", io::empty())? } else { of_file("sha1", &m.path)? };
            all.insert(format!("{}{} {sum}", m.name, if dir { "/" } else { "" }));
            continue;
        }
        let st = fs::symlink_metadata(&m.path)?;
        let kind = match () {
            _ if st.is_symlink() => b'2',
            _ if st.is_dir() => b'5',
            _ => b'0',
        };
        let link = if st.is_symlink() { fs::read_link(&m.path)?.to_string_lossy().into_owned() } else { String::new() };
        let sum = if st.is_file() { of_file("sha1", &m.path)? } else { of_reader("sha1", io::empty())? };
        let mtime = u64::try_from(st.mtime()).unwrap_or(0);
        let key = (kind, st.mode() & 0o7777, u64::from(st.uid()), u64::from(st.gid()), mtime);
        all.insert(format!("{} {link} {key:?} {sum}", m.name));
    }
    Ok(all)
}
