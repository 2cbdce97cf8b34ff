//! A server of objects over HTTP that speaks enough of S3, and does what servers do when they are not well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An answer with this status, and what S3 calls the error.
    Status(u16, &'static str),
    /// A byte now and then.
    Drip,
    /// Nothing at all, for a long time.
    Silence,
    /// The connection is reset in the middle of the answer.
    Reset,
    /// The answer ends after half of what it announces.
    Truncated,
    /// The answer does not say how long it is.
    Unmeasured,
    /// Half of the value, announced as if it were all.
    Half,
    /// An answer of gigabytes.
    Endless,
    /// Parts are not known: the whole comes.
    NoRanges,
    /// It lies somewhere else, which is the same place.
    Redirects,
}

/// For whom it goes wrong.
#[derive(Debug, Clone)]
struct Rule {
    fault: Fault,
    /// Methods, and a part of the path.
    methods: &'static [&'static str],
    part: String,
    /// How many requests are left that it happens to.
    left: u64,
}

/// A value and the number of its version.
type Object = (Vec<u8>, u64);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    rules: Vec<Rule>,
    log: Vec<String>,
    version: u64,
    /// Signed requests only.
    key: Option<&'static str>,
}

/// A running server; it ends with the value.
pub struct Server {
    state: Arc<Mutex<State>>,
    port: u16,
    stop: Arc<AtomicBool>,
}

pub const READ: &[&str] = &["GET", "HEAD"];
pub const WRITE: &[&str] = &["PUT"];

impl Server {
    /// A server without objects.
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, stop) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (state.clone(), stop.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(stream), shared, stopped) = (stream, shared.clone(), stopped.clone()) else { continue };
                std::thread::spawn(move || {
                    // A client may go away at any moment.
                    let _ = serve(stream, &shared, &stopped);
                });
            }
        });
        Server { state, port, stop }
    }

    /// Takes only requests that are signed with this key.
    pub fn signed(self, key: &'static str) -> Server {
        self.state.lock().unwrap().key = Some(key);
        self
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Files below a directory, as objects below a path such as `/bucket/a.zarr`.
    pub fn load(&self, dir: &Path, to: &str) {
        for file in super::tree::files(dir) {
            let value = std::fs::read(dir.join(&file)).unwrap();
            self.put(&format!("{to}/{}", file.display()), value);
        }
    }

    /// Puts one object.
    pub fn put(&self, path: &str, value: Vec<u8>) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        state.objects.insert(path.into(), (value, version));
    }

    /// Removes objects below a path.
    pub fn remove(&self, below: &str) {
        self.state.lock().unwrap().objects.retain(|path, _| !path.starts_with(below));
    }

    /// Objects below a path, by the rest of theirs.
    pub fn below(&self, path: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock().unwrap();
        let rest = |(p, (value, _)): (&String, &Object)| Some((p.strip_prefix(path)?.to_owned(), value.clone()));
        state.objects.iter().filter_map(rest).collect()
    }

    /// From now on, for so many requests of these methods to paths with this part.
    pub fn fail(&self, fault: Fault, methods: &'static [&'static str], part: &str, times: u64) {
        let rule = Rule { fault, methods, part: part.into(), left: times };
        self.state.lock().unwrap().rules.push(rule);
    }

    /// From now on nothing goes wrong; what was asked before is forgotten.
    pub fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.rules.clear();
        state.log.clear();
    }

    /// What was asked: method and path.
    pub fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'%' => {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            b'+' => out.push(b' '),
            b => out.push(b),
        }
    }
    String::from_utf8(out).unwrap()
}

/// Reads a request, but for the last byte of its head: what is left unread makes the system reset the connection when it
/// is closed.
fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let (path, query) = first[1].split_once('?').unwrap_or((first[1], ""));
    let pair = |p: &str| p.split_once('=').map_or((decoded(p), String::new()), |(k, v)| (decoded(k), decoded(v)));
    let header = |l: &str| l.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
    Ok(Some(Request {
        method: first[0].into(),
        path: decoded(path),
        query: query.split('&').filter(|p| !p.is_empty()).map(pair).collect(),
        headers: lines.filter_map(header).collect(),
        body: Vec::new(),
    }))
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Some(mut request) = read(&mut stream)? else { return Ok(()) };
        let fault = {
            let mut state = state.lock().unwrap();
            state.log.push(format!("{} {}", request.method, request.path));
            let hit = |r: &&mut Rule| {
                r.left > 0 && r.methods.contains(&request.method.as_str()) && request.path.contains(&r.part)
            };
            state.rules.iter_mut().find(hit).map(|r| {
                r.left -= 1;
                r.fault
            })
        };
        let answer = |state: &mut State, request: &Request| answer(state, request, fault == Some(Fault::NoRanges));
        if fault == Some(Fault::Reset) {
            let (_, _, body) = answer(&mut state.lock().unwrap(), &request);
            if request.method == "GET" {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len().max(2))?;
                stream.write_all(&body[..body.len() / 2])?;
                // What was sent has to arrive before the reset does.
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(());
        }
        stream.read_exact(&mut [0])?;
        let length: usize = request.headers.get("content-length").map_or(0, |n| n.parse().unwrap());
        request.body = vec![0; length];
        stream.read_exact(&mut request.body)?;
        match fault {
            Some(Fault::Status(status, code)) => {
                let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
                let body = if request.method == "HEAD" { "" } else { &text };
                let n = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {n}\r\n\r\n{body}")?;
                continue;
            }
            Some(Fault::Silence) => {
                wait(stop, Duration::from_secs(60));
                return Ok(());
            }
            Some(Fault::Redirects) => {
                let path = format!("{}?moved", request.path);
                write!(stream, "HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
            Some(Fault::Endless) => {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 10u64 << 30)?;
                let zeros = vec![0; 1 << 20];
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(&zeros)?;
                }
                return Ok(());
            }
            _ => {}
        }
        let (status, headers, mut body) = answer(&mut state.lock().unwrap(), &request);
        if fault == Some(Fault::Half) && request.method == "GET" {
            body.truncate(body.len() / 2);
        }
        let length = match (request.method.as_str(), headers.get("X-Length")) {
            ("HEAD", Some(length)) => length.clone(),
            _ => body.len().to_string(),
        };
        let mut head = match fault {
            Some(Fault::Unmeasured) => format!("HTTP/1.1 {status} X\r\nConnection: close\r\n"),
            _ => format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n"),
        };
        headers.iter().for_each(|(k, v)| write!(head, "{k}: {v}\r\n").unwrap());
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        match fault {
            Some(Fault::Unmeasured) => {
                stream.write_all(&body)?;
                return Ok(());
            }
            Some(Fault::Truncated) => {
                stream.write_all(&body[..body.len() / 2])?;
                return Ok(());
            }
            Some(Fault::Drip) => {
                for byte in body {
                    stream.write_all(&[byte])?;
                    wait(stop, Duration::from_millis(100));
                }
            }
            _ => stream.write_all(&body)?,
        }
    }
}

fn wait(stop: &AtomicBool, time: Duration) {
    let until = std::time::Instant::now() + time;
    while !stop.load(Ordering::Relaxed) && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
}

type Answer = (u16, BTreeMap<&'static str, String>, Vec<u8>);

fn error(status: u16, code: &str) -> Answer {
    (status, BTreeMap::new(), format!("<Error><Code>{code}</Code></Error>").into_bytes())
}

fn answer(state: &mut State, request: &Request, whole: bool) -> Answer {
    if let Some(key) = state.key {
        let signed = format!("AWS4-HMAC-SHA256 Credential={key}/");
        if !request.headers.get("authorization").is_some_and(|a| a.starts_with(&signed)) {
            return error(403, "AccessDenied");
        }
    }
    let tag = |version: u64| format!("\"v{version}\"");
    let there = state.objects.get(&request.path);
    match request.method.as_str() {
        "GET" if request.query.contains_key("list-type") => list(state, request),
        "GET" | "HEAD" => {
            let Some((value, version)) = there else {
                return if request.method == "HEAD" { (404, BTreeMap::new(), vec![]) } else { error(404, "NoSuchKey") };
            };
            let mut headers = BTreeMap::from([("ETag", tag(*version)), ("Accept-Ranges", "bytes".into())]);
            headers.insert("Last-Modified", "Sun, 01 Feb 2026 10:00:00 GMT".into());
            headers.insert("X-Length", value.len().to_string());
            if request.method == "HEAD" {
                return (200, headers, vec![]);
            }
            let Some(range) = request.headers.get("range").filter(|_| !whole) else {
                return (200, headers, value.clone());
            };
            let all = value.len();
            let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (lo, hi) = match (from.parse::<usize>(), to.parse::<usize>()) {
                (Ok(lo), Ok(hi)) => (lo, (hi + 1).min(all)),
                (Ok(lo), Err(_)) => (lo, all),
                (Err(_), Ok(last)) => (all.saturating_sub(last), all),
                _ => panic!("{range}"),
            };
            if lo >= all {
                return error(416, "InvalidRange");
            }
            headers.insert("Content-Range", format!("bytes {lo}-{}/{all}", hi - 1));
            (206, headers, value[lo..hi].to_vec())
        }
        "PUT" => {
            let only = request.headers.get("if-match");
            if (request.headers.get("if-none-match").is_some_and(|t| t == "*") && there.is_some())
                || only.is_some_and(|t| there.is_none_or(|(_, v)| *t != tag(*v)))
            {
                return error(412, "PreconditionFailed");
            }
            state.version += 1;
            let version = state.version;
            state.objects.insert(request.path.clone(), (request.body.clone(), version));
            (200, BTreeMap::from([("ETag", tag(version))]), vec![])
        }
        "DELETE" => {
            state.objects.remove(&request.path);
            (204, BTreeMap::new(), vec![])
        }
        _ => error(405, "MethodNotAllowed"),
    }
}

/// `list-type=2`, seven keys at once, so that lists have pages.
fn list(state: &State, request: &Request) -> Answer {
    let bucket = format!("{}/", request.path.trim_end_matches('/'));
    let get = |name: &str| request.query.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, after) = (get("prefix"), get("start-after").max(get("continuation-token")));
    let (mut contents, mut last, mut more) = (String::new(), String::new(), false);
    let mut prefixes = std::collections::BTreeSet::new();
    let keys = state.objects.iter().filter_map(|(p, o)| Some((p.strip_prefix(&bucket)?, o)));
    for (n, (key, (value, version))) in keys.filter(|(k, _)| k.starts_with(prefix) && *k > after).enumerate() {
        if n == 7 {
            more = true;
            break;
        }
        last = key.to_owned();
        match key[prefix.len()..].split_once('/').filter(|_| get("delimiter") == "/") {
            Some((below, _)) => {
                prefixes.insert(format!("{prefix}{below}/"));
            }
            None => write!(
                contents,
                "<Contents><Key>{key}</Key><LastModified>2026-02-01T10:00:00.000Z</LastModified>\
                 <ETag>&quot;v{version}&quot;</ETag><Size>{}</Size></Contents>",
                value.len()
            )
            .unwrap(),
        }
    }
    let token = if more { format!("<NextContinuationToken>{last}</NextContinuationToken>") } else { String::new() };
    let common: String =
        prefixes.iter().map(|p| format!("<CommonPrefixes><Prefix>{p}</Prefix></CommonPrefixes>")).collect();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><IsTruncated>{more}</IsTruncated>{token}{contents}\
         {common}</ListBucketResult>"
    );
    (200, BTreeMap::new(), xml.into_bytes())
}
