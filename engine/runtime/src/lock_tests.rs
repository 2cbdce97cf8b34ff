use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Lock::beside(&dir.path().join("image.zarr"));
    (dir, path)
}

fn leave(path: &Path, holder: &Holder) {
    holder.write(&mut File::create(path).unwrap()).unwrap();
}

#[test]
fn a_lock_is_had_by_one_and_given_back() {
    let (dir, path) = place();
    assert_eq!(path, dir.path().join("image.zarr.lock"));
    let first = Lock::acquire(&path).unwrap();
    assert!(first.stale.is_none());
    let refused = Lock::acquire(&path).unwrap_err().to_string();
    for part in [format!("process {} ", std::process::id()), host::name(), "image.zarr.lock".into(), "s ago".into()] {
        assert!(refused.contains(&part), "{part} in {refused}");
    }
    drop(first);
    assert!(!path.exists());
    drop(Lock::acquire(&path).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_lock_whose_process_is_gone_is_taken_over() {
    let (dir, path) = place();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let gone = Holder { pid, ..Holder::own() };
    leave(&path, &gone);
    let taken = Lock::acquire(&path).unwrap();
    assert_eq!(taken.stale, Some(gone));
    assert!(Lock::acquire(&path).is_err());
    drop(taken);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // Another process that has the number by now.
    let other = Holder { born: Some(1), ..Holder::own() };
    leave(&path, &other);
    assert!(!cfg!(target_os = "linux") || Lock::acquire(&path).unwrap().stale.is_some());
}

/// Else one whose holder is killed before it has written would be in the way until it is old.
#[test]
fn a_lock_says_whose_it_is_from_the_first_moment() {
    let (_dir, path) = place();
    if !cfg!(target_os = "linux") || nameless(&path).is_none() {
        println!("SKIPPED: files without a name");
        return;
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            (0..3000).for_each(|_| drop(Lock::acquire(&path).unwrap()));
            stop.store(true, Ordering::Relaxed);
        });
        let mut seen = 0;
        while !stop.load(Ordering::Relaxed) {
            if let Ok(text) = fs::read(&path) {
                seen += 1;
                assert!(serde_json::from_slice::<Holder>(&text).is_ok(), "{:?}", String::from_utf8_lossy(&text));
            }
        }
        assert!(seen > 10, "seen {seen} times only");
    });
}

#[test]
fn on_another_host_the_time_tells() {
    let (_dir, path) = place();
    let other = |heartbeat| Holder { host: "far".into(), space: "far".into(), heartbeat, ..Holder::own() };
    leave(&path, &other(now() - 50));
    let refused = Lock::acquire(&path).unwrap_err().to_string();
    assert!(refused.contains("host far") && refused.contains("last heard of 5"), "{refused}");
    leave(&path, &other(now() - 70));
    assert_eq!(Lock::acquire(&path).unwrap().stale.map(|h| h.host), Some("far".into()));
}

#[test]
fn a_lock_that_says_nothing_is_held_while_it_is_young() {
    let (_dir, path) = place();
    fs::write(&path, "").unwrap();
    assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })));
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - 2 * STALE).unwrap();
    assert!(Lock::acquire(&path).unwrap().stale.is_some());
}

#[test]
fn one_of_many_that_take_over_has_it() {
    for _ in 0..20 {
        let (dir, path) = place();
        leave(&path, &Holder { born: Some(1), pid: u32::MAX / 2, ..Holder::own() });
        let had: Vec<_> = std::thread::scope(|s| {
            let all: Vec<_> = (0..4).map(|_| s.spawn(|| Lock::acquire(&path))).collect();
            all.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(had.iter().filter(|h| h.is_ok()).count(), 1);
        drop(had);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn what_is_no_place_is_told() {
    let (dir, _) = place();
    let error = Lock::acquire(&dir.path().join("none/a.lock")).unwrap_err().to_string();
    assert!(error.contains("can't use the lock") && error.contains("none/a.lock"), "{error}");
}
