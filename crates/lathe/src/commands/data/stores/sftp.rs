//! Remotes on other machines, reached as the user reaches them: by the `ssh` program, with its keys, its agent and
//! its settings. Files move by SFTP (version 3), which every SSH server speaks.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex};

use lathe_data::Result;
use lathe_data::remote::{RemoteSettings, Seen, Store};

use super::failed;
use crate::exit::hinted;

/// Connections at once; servers let in about ten.
const CONNECTIONS_MAX: usize = 4;
/// Every server takes so much in one request.
const CHUNK_BYTES: usize = 32 << 10;
/// Requests on their way in one connection.
const WINDOW: usize = 32;
/// No server sends a longer packet.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// Files below a path of another machine.
pub struct Sftp {
    name: String,
    args: Vec<String>,
    root: String,
    idle: Mutex<Pool>,
    returned: Condvar,
    made: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Pool {
    connections: Vec<Connection>,
    open: usize,
}

impl Sftp {
    /// Opens what the settings describe; connects when it is first used.
    pub fn open(settings: &RemoteSettings) -> anyhow::Result<Self> {
        let rest = settings.url.split_once("://").map_or("", |(_, rest)| rest);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (host, None),
        };
        if host.is_empty() || host.starts_with('-') {
            return Err(hinted(
                format!("`{}` names no machine", settings.url),
                "write `ssh://host/path`",
            ));
        }
        for secret in ["password", "passphrase", "ask_password", "ask_passphrase"] {
            if settings.find(secret).is_some_and(|value| value != "false") {
                return Err(hinted(
                    format!(
                        "remote `{}` has the setting `{secret}`, which `ssh` does not take",
                        settings.name
                    ),
                    "use a key or an agent: `ssh-copy-id`, `ssh-add`",
                ));
            }
        }
        // Nobody is there to answer a question.
        let mut args: Vec<String> = [
            "-oBatchMode=yes",
            "-oConnectTimeout=30",
            "-oStrictHostKeyChecking=accept-new",
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(user) = settings.find("user").or(user) {
            args.push(format!("-oUser={user}"));
        }
        if let Some(port) = settings.find("port").or(port) {
            args.push(format!("-oPort={port}"));
        }
        if let Some(key) = settings.find("keyfile") {
            let key = match key.strip_prefix("~/") {
                Some(inside) => crate::settings::home()?.join(inside).display().to_string(),
                None => key.to_owned(),
            };
            args.push(format!("-oIdentityFile={key}"));
        }
        args.extend([
            "-s".to_owned(),
            "--".into(),
            host.trim_matches(['[', ']']).into(),
            "sftp".into(),
        ]);
        Ok(Self {
            name: settings.name.clone(),
            args,
            root: format!("/{}", path.trim_end_matches('/')),
            idle: Mutex::default(),
            returned: Condvar::new(),
            made: Mutex::default(),
        })
    }

    /// Does something on a connection of the pool. One that failed is not used again.
    fn with<R>(&self, act: impl FnOnce(&mut Connection) -> io::Result<R>) -> Result<R> {
        let mut connection = self.connection()?;
        let done = act(&mut connection);
        let mut pool = self.idle.lock().expect("no thread panics with it");
        if done.is_ok() {
            pool.connections.push(connection);
        } else {
            pool.open -= 1;
        }
        self.returned.notify_one();
        done.map_err(|error| failed(&self.name, error))
    }

    /// A connection that is idle, or a new one; waits for one if as many are open as may be.
    fn connection(&self) -> Result<Connection> {
        let mut pool = self.idle.lock().expect("no thread panics with it");
        loop {
            if let Some(connection) = pool.connections.pop() {
                return Ok(connection);
            }
            if pool.open < CONNECTIONS_MAX {
                break;
            }
            pool = self.returned.wait(pool).expect("no thread panics with it");
        }
        pool.open += 1;
        drop(pool);
        Connection::open(&self.args).map_err(|error| {
            self.idle.lock().expect("no thread panics with it").open -= 1;
            self.returned.notify_one();
            failed(&self.name, error)
        })
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.root.trim_end_matches('/'))
    }

    fn make_folders(&self, connection: &mut Connection, path: &str) -> io::Result<()> {
        let folders: Vec<&str> = path
            .match_indices('/')
            .skip(1)
            .map(|(at, _)| &path[..at])
            .collect();
        // The deepest that is there already is what the others are made in.
        let known = folders.iter().rposition(|folder| {
            self.made
                .lock()
                .expect("no thread panics with it")
                .contains(*folder)
        });
        let unknown = &folders[known.map_or(0, |at| at + 1)..];
        let there = unknown
            .iter()
            .rposition(|folder| connection.size(folder).is_ok_and(|size| size.is_some()));
        for folder in &unknown[there.map_or(0, |at| at + 1)..] {
            let made = connection.make_folder(folder);
            // Another connection may have made it just now.
            if made.is_err() && connection.size(folder)?.is_none() {
                return made;
            }
        }
        let mut made = self.made.lock().expect("no thread panics with it");
        made.extend(folders.iter().map(|folder| (*folder).to_owned()));
        Ok(())
    }
}

impl Store for Sftp {
    fn exist(&self, keys: &[String], _at_once: usize) -> Result<Vec<bool>> {
        self.with(|connection| connection.exist(&keys.iter().map(|key| self.path(key)).collect::<Vec<_>>()))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.with(|connection| {
            let mut found = Vec::new();
            let mut folders = vec![prefix.trim_matches('/').to_owned()];
            while let Some(folder) = folders.pop() {
                for (name, is_folder) in connection.list(&self.path(&folder))? {
                    let key = if folder.is_empty() {
                        name
                    } else {
                        format!("{folder}/{name}")
                    };
                    if is_folder {
                        folders.push(key)
                    } else {
                        found.push(key)
                    }
                }
            }
            Ok(found)
        })
    }

    fn put(&self, from: &Path, key: &str) -> Result<()> {
        let path = self.path(key);
        let part = format!("{path}.{}.part", std::process::id());
        self.with(|connection| {
            self.make_folders(connection, &path)?;
            connection.send(&mut File::open(from)?, &part)?;
            connection.rename(&part, &path)
        })
    }

    fn get(&self, key: &str, to: &Path) -> Result<bool> {
        let path = self.path(key);
        self.with(|connection| match connection.size(&path)? {
            None => Ok(false),
            Some(size) => {
                connection.receive(&path, size, &mut File::create(to)?)?;
                Ok(true)
            }
        })
    }

    fn look(&self, key: &str) -> Result<Option<Seen>> {
        let there = self.exist(&[key.to_owned()], 1)?;
        Ok(there.contains(&true).then(Seen::default))
    }

    fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        self.with(|connection| connection.remove(&path))
    }
}

/// A session of SFTP through a process of `ssh`.
struct Connection {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: u32,
}

const INIT: u8 = 1;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const MKDIR: u8 = 14;
const STAT: u8 = 17;
const RENAME: u8 = 18;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED: u8 = 200;

const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;

impl Drop for Connection {
    fn drop(&mut self) {
        // It ends when its input does; a hung one is not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Connection {
    fn open(args: &[String]) -> io::Result<Self> {
        let mut child = Command::new("ssh")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("`ssh` cannot be started: {error}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("`ssh` has no pipes"));
        };
        let mut connection = Self {
            child,
            input,
            output: BufReader::with_capacity(64 << 10, output),
            next: 0,
        };
        connection.input.write_all(&[0, 0, 0, 5, INIT, 0, 0, 0, 3])?;
        let greeting = connection.packet();
        greeting.map_err(|_| io::Error::other("`ssh` did not connect; its words are above"))?;
        Ok(connection)
    }

    fn send_packet(&mut self, kind: u8, fields: &[&[u8]]) -> io::Result<u32> {
        self.next = self.next.wrapping_add(1);
        let id = self.next;
        let length = 5 + fields.iter().map(|field| field.len()).sum::<usize>();
        let mut packet = Vec::with_capacity(length + 4);
        packet.extend((length as u32).to_be_bytes());
        packet.push(kind);
        packet.extend(id.to_be_bytes());
        for field in fields {
            packet.extend_from_slice(field);
        }
        self.input.write_all(&packet)?;
        Ok(id)
    }

    fn packet(&mut self) -> io::Result<Packet> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || PACKET_BYTES_MAX < length {
            return Err(io::Error::other("the server sends what is no SFTP"));
        }
        let mut bytes = vec![0; length];
        self.output.read_exact(&mut bytes)?;
        Ok(Packet { bytes, at: 1 })
    }

    /// Sends a request and waits for its answer: only one is on its way.
    fn ask(&mut self, kind: u8, fields: &[&[u8]]) -> io::Result<Packet> {
        self.send_packet(kind, fields)?;
        let mut answer = self.packet()?;
        answer.number()?;
        Ok(answer)
    }

    fn size(&mut self, path: &str) -> io::Result<Option<u64>> {
        let answer = self.ask(STAT, &[&text(path)])?;
        size_of(answer)
    }

    fn exist(&mut self, paths: &[String]) -> io::Result<Vec<bool>> {
        let mut found = Vec::with_capacity(paths.len());
        for some in paths.chunks(WINDOW) {
            let first = self.next.wrapping_add(1);
            for path in some {
                self.send_packet(STAT, &[&text(path)])?;
            }
            // Servers may answer in another order.
            let mut answers = vec![false; some.len()];
            for _ in some {
                let mut answer = self.packet()?;
                let index = answer.number()?.wrapping_sub(first) as usize;
                let there = size_of(answer)?.is_some();
                *answers
                    .get_mut(index)
                    .ok_or_else(|| io::Error::other("an answer to nothing"))? = there;
            }
            found.extend(answers);
        }
        Ok(found)
    }

    fn make_folder(&mut self, path: &str) -> io::Result<()> {
        self.ask(MKDIR, &[&text(path), &[0; 4]])?.status(path)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let mut answer = self.ask(REMOVE, &[&text(path)])?;
        match answer.code()? {
            0 | NO_SUCH_FILE => Ok(()),
            _ => Err(answer.complaint(path)),
        }
    }

    /// Over what is there, if the server can.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut answer = self.ask(
            EXTENDED,
            &[&text("posix-rename@openssh.com"), &text(from), &text(to)],
        )?;
        if answer.code()? == 0 {
            return Ok(());
        }
        self.remove(to)?;
        self.ask(RENAME, &[&text(from), &text(to)])?.status(to)
    }

    fn handle(&mut self, kind: u8, path: &str, fields: &[&[u8]]) -> io::Result<Option<Vec<u8>>> {
        let path_text = text(path);
        let mut all: Vec<&[u8]> = vec![&path_text];
        all.extend_from_slice(fields);
        let mut answer = self.ask(kind, &all)?;
        match answer.kind() {
            HANDLE => Ok(Some(text_of(answer.string()?))),
            STATUS if answer.code()? == NO_SUCH_FILE => Ok(None),
            _ => Err(answer.complaint(path)),
        }
    }

    fn close(&mut self, handle: &[u8], path: &str) -> io::Result<()> {
        self.ask(CLOSE, &[handle])?.status(path)
    }

    fn send(&mut self, from: &mut File, path: &str) -> io::Result<()> {
        // Write, create, truncate; no attributes.
        let flags = 0x1a_u32.to_be_bytes();
        let handle = self.handle(OPEN, path, &[&flags, &[0; 4]])?;
        let handle = handle.ok_or_else(|| io::Error::other(format!("`{path}` cannot be made")))?;
        let mut offset = 0_u64;
        let mut waiting = 0;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            let length = (read as u32).to_be_bytes();
            self.send_packet(WRITE, &[&handle, &offset.to_be_bytes(), &length, &buffer[..read]])?;
            offset += read as u64;
            waiting += 1;
            if WINDOW <= waiting {
                self.packet()?.after_id()?.status(path)?;
                waiting -= 1;
            }
        }
        for _ in 0..waiting {
            self.packet()?.after_id()?.status(path)?;
        }
        self.close(&handle, path)
    }

    fn receive(&mut self, path: &str, size: u64, to: &mut File) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let handle = self.handle(OPEN, path, &[&1_u32.to_be_bytes(), &[0; 4]])?;
        let handle = handle.ok_or_else(|| io::Error::other(format!("`{path}` is gone")))?;
        let mut asked = std::collections::HashMap::new();
        let mut next = 0;
        let length = (CHUNK_BYTES as u32).to_be_bytes();
        while next < size || !asked.is_empty() {
            while next < size && asked.len() < WINDOW {
                let id = self.send_packet(READ, &[&handle, &next.to_be_bytes(), &length])?;
                let end = (next + CHUNK_BYTES as u64).min(size);
                asked.insert(id, (next, end));
                next = end;
            }
            let mut answer = self.packet()?;
            let (start, end) = asked
                .remove(&answer.number()?)
                .ok_or_else(|| io::Error::other("an answer to nothing"))?;
            if answer.kind() != DATA {
                return Err(match answer.code()? {
                    EOF => io::Error::new(io::ErrorKind::UnexpectedEof, format!("`{path}` became shorter")),
                    _ => answer.complaint(path),
                });
            }
            let data = answer.string()?;
            to.write_all_at(data, start)?;
            let got = start + data.len() as u64;
            // A server may send less than it was asked for.
            if got < end {
                let rest = ((end - got) as u32).to_be_bytes();
                let id = self.send_packet(READ, &[&handle, &got.to_be_bytes(), &rest])?;
                asked.insert(id, (got, end));
            }
        }
        self.close(&handle, path)
    }

    /// Names in a folder, and whether each is one; a folder that is not there holds none.
    fn list(&mut self, path: &str) -> io::Result<Vec<(String, bool)>> {
        let Some(handle) = self.handle(OPENDIR, path, &[])? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        loop {
            let mut answer = self.ask(READDIR, &[&handle])?;
            match answer.kind() {
                NAME => {
                    for _ in 0..answer.number()? {
                        let name = String::from_utf8_lossy(answer.string()?).into_owned();
                        answer.string()?;
                        let (_, mode) = answer.attributes()?;
                        if name != "." && name != ".." {
                            found.push((name, mode.unwrap_or(0) & 0o170_000 == 0o040_000));
                        }
                    }
                }
                STATUS if answer.code()? == EOF => break,
                _ => return Err(answer.complaint(path)),
            }
        }
        self.close(&handle, path)?;
        Ok(found)
    }
}

fn text(text: &str) -> Vec<u8> {
    text_of(text.as_bytes())
}

fn text_of(bytes: &[u8]) -> Vec<u8> {
    let mut field = (bytes.len() as u32).to_be_bytes().to_vec();
    field.extend_from_slice(bytes);
    field
}

fn size_of(mut answer: Packet) -> io::Result<Option<u64>> {
    match answer.kind() {
        ATTRS => Ok(Some(answer.attributes()?.0.unwrap_or(0))),
        STATUS if answer.code()? == NO_SUCH_FILE => Ok(None),
        _ => Err(answer.complaint("a file")),
    }
}

/// An answer, read from the front.
struct Packet {
    bytes: Vec<u8>,
    at: usize,
}

impl Packet {
    fn kind(&self) -> u8 {
        self.bytes[0]
    }

    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| io::Error::other("an answer is too short"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn string(&mut self) -> io::Result<&[u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }

    fn after_id(mut self) -> io::Result<Self> {
        self.number()?;
        Ok(self)
    }

    /// Size and mode, as far as they are told.
    fn attributes(&mut self) -> io::Result<(Option<u64>, Option<u32>)> {
        let flags = self.number()?;
        let size = match flags & 1 {
            0 => None,
            _ => Some((u64::from(self.number()?) << 32) | u64::from(self.number()?)),
        };
        if flags & 2 != 0 {
            self.take(8)?;
        }
        let mode = if flags & 4 == 0 {
            None
        } else {
            Some(self.number()?)
        };
        if flags & 8 != 0 {
            self.take(8)?;
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.number()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok((size, mode))
    }

    fn code(&mut self) -> io::Result<u32> {
        if self.kind() != STATUS {
            return Err(io::Error::other("the server answers something else"));
        }
        self.number()
    }

    fn status(mut self, path: &str) -> io::Result<()> {
        match self.code()? {
            0 => Ok(()),
            _ => Err(self.complaint(path)),
        }
    }

    /// What the server says is wrong; its code was read.
    fn complaint(mut self, path: &str) -> io::Error {
        let said = self
            .string()
            .map(|said| String::from_utf8_lossy(said).into_owned());
        io::Error::other(format!(
            "`{path}`: {}",
            said.unwrap_or_else(|_| "refused".to_owned())
        ))
    }
}
