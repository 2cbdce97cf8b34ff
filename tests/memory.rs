//! Memory: the projection bounds what is measured, is no more than half above it, and keeps to the limit given.

use crate::support::{self, Run};
use std::path::Path;

const MIB: f64 = 1024.0 * 1024.0;

/// Runs and returns what breaks the promise, with figures.
fn measure(workflow: &Path, args: &[&str]) -> (String, Option<String>) {
    let run = Run::ok(workflow, args);
    let (projected, measured) = (run.number("projected_peak_bytes"), run.number("peak_rss_bytes"));
    let figures = format!(
        "{} {}: projected {:.1} MiB, measured {:.1} MiB",
        workflow.file_name().unwrap().to_string_lossy(),
        args.join(" "),
        projected / MIB,
        measured / MIB
    );
    let wrong = if measured > projected {
        Some(format!("{figures}: more than projected"))
    } else if projected > 1.5 * measured + 64.0 * MIB {
        Some(format!("{figures}: projected more than 1.5 x measured + 64 MiB"))
    } else {
        None
    };
    (figures, wrong)
}

#[test]
fn the_projection_bounds_what_is_measured_and_not_by_much() {
    let mut wrong = Vec::new();
    for name in ["bcss.yaml", "astronaut.yaml", "pyramid.yaml", "rechunk.yaml", "segment3d.yaml"] {
        for block in ["64", "256", "512", "100000"] {
            for threads in ["1", "2"] {
                let args = ["--block", block, "--threads", threads, "--memory", "4GiB"];
                let (figures, found) = measure(&support::workflow(name), &args);
                println!("{figures}");
                wrong.extend(found);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What writing takes is part of the projection: chunks, shards, compressors, and levels that are read again.
#[test]
fn shards_and_pyramids_are_written_within_the_projection() {
    let dir = support::temp();
    let path = dir.path().join("stores.yaml");
    let mut wrong = Vec::new();
    for more in [
        "format: zarr, chunks: [256, 256], shards: [1024, 1024], codec: zstd",
        "format: zarr, chunks: [1000, 1000], codec: none",
        "format: zarr, chunks: [512, 512], codec: gzip",
        "format: zarr, chunks: [1000, 1000], codec: {name: zstd, level: 19, checksum: crc32c}",
        "format: zarr, chunks: [1000, 1000], codec: {name: blosc-zstd, level: 7}",
        "format: zarr, chunks: [1000, 1000], codec: bz2",
        "format: zarr, chunks: [1000, 1000], codec: pcodec",
        "format: ome-zarr, chunks: [256, 256], shards: [512, 1024], pyramid: {levels: 5}",
    ] {
        let input = "{generate: {shape: [5000, 5000], dtype: uint16, pattern: noise}}";
        let steps = "  image: {op: invert, input: noise}\n";
        let text =
            format!("version: 1\ninputs:\n  noise: {input}\nsteps:\n{steps}outputs:\n  Out: {{from: image, {more}}}\n");
        support::write(&path, &text);
        for threads in ["1", "2", "4"] {
            let (figures, found) = measure(&path, &["--threads", threads, "--memory", "4GiB"]);
            println!("{more}: {figures}");
            wrong.extend(found.map(|f| format!("{more}: {f}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn twice_the_limit_projects_the_same() {
    for name in ["bcss.yaml", "astronaut.yaml"] {
        for block in ["64", "512"] {
            let projected = |memory: &str| {
                let file = support::workflow(name);
                let args = ["plan", file.to_str().unwrap(), "--json", "--block", block, "--memory", memory];
                let o = support::call(&args);
                assert_eq!(o.status.code(), Some(0), "{}", support::stderr(&o));
                let plan: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
                plan["memory"]["projected"].as_u64().unwrap_or_else(|| panic!("{}", plan["memory"]))
            };
            let found = ["512MiB", "1GiB", "2GiB", "4GiB"].map(projected);
            assert!(found.iter().all(|p| *p == found[0]), "{name}, blocks of {block}: {found:?}");
        }
    }
}

/// Writes a tiled RGB TIFF of generated tissue, tile by tile; noise in the low bits keeps deflate from shrinking it to
/// nothing.
pub fn tiled(path: &Path, width: u32, height: u32) {
    use std::io::Write;
    const TILE: u32 = 512;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (across, down) = (width.div_ceil(TILE), height.div_ceil(TILE));
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    // Little-endian TIFF 6.0: header, tiles, directory. No encoder at hand writes tiles.
    file.write_all(b"II\x2a\0\0\0\0\0").unwrap();
    let bytes = TILE * TILE * 3;
    let (mut state, mut tile) = (1u32, vec![0u8; bytes as usize]);
    for t in 0..across * down {
        let base = (t.wrapping_mul(2_654_435_761) >> 25) as u8 + 60;
        for (i, v) in tile.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let cell = if (i / 3 % 512 / 40 + i / 1536 / 40) % 3 == 0 { 60 } else { 0 };
            *v = base.saturating_add(cell).saturating_add((state >> 28) as u8);
        }
        file.write_all(&tile).unwrap();
    }
    let count = across * down;
    let directory = 8 + count * bytes;
    let lists = directory + 2 + 10 * 12 + 4;
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, lists),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 4, 1, TILE),
        (323, 4, 1, TILE),
        (324, 4, count, lists + 6),
        (325, 4, count, lists + 6 + 4 * count),
    ];
    let mut tail = (entries.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, n, value) in entries {
        tail.extend(tag.to_le_bytes());
        tail.extend(kind.to_le_bytes());
        tail.extend(n.to_le_bytes());
        tail.extend(value.to_le_bytes());
    }
    tail.extend([0; 4]);
    tail.extend([8u16; 3].iter().flat_map(|b| b.to_le_bytes()));
    tail.extend((0..count).flat_map(|t| (8 + t * bytes).to_le_bytes()));
    tail.extend((0..count).flat_map(|_| bytes.to_le_bytes()));
    file.write_all(&tail).unwrap();
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(4)).unwrap();
    file.write_all(&directory.to_le_bytes()).unwrap();
    file.flush().unwrap();
}

#[test]
fn one_large_image_among_small_ones_stays_within_the_limit() {
    let dir = support::temp();
    let images = dir.path().join("in");
    for i in 0..12 {
        support::copies(&images, &["no-tissue", "high-nuclei-score-level2"]);
        for stem in ["no-tissue", "high-nuclei-score-level2"] {
            let from = images.join(format!("{stem}.png"));
            std::fs::rename(from, images.join(format!("{stem}-{i}.png"))).unwrap();
        }
    }
    // 25 megapixels, or 90.
    let (width, height, limits) =
        if support::long() { (9_728, 9_300, ["1024MiB", "2048MiB"]) } else { (6_144, 4_096, ["384MiB", "512MiB"]) };
    tiled(&images.join("slide.tif"), width, height);
    let set = format!("images={}/*", images.display());
    for limit in limits {
        let args = ["--set", &set, "--memory", limit, "--threads", "2"];
        let bytes = limit.trim_end_matches("MiB").parse::<u64>().unwrap() << 20;
        // The system holds it to the limit too.
        let run = Run::limited(&support::workflow("bcss.yaml"), &args, bytes).expect_code(0);
        let (projected, measured) = (run.number("projected_peak_bytes"), run.number("peak_rss_bytes"));
        let figures = format!("limit {limit}: projected {:.1}, measured {:.1} MiB", projected / MIB, measured / MIB);
        println!("{width}x{height} among 24 small images, {figures}, {:.1} s", run.number("wall_s"));
        assert!(projected <= bytes as f64 && measured <= projected, "{figures}");
        let (_, w, h, labels) = support::pixels::png(&run.results("Labeled/slide.png"));
        assert!((w, h) == (width, height) && labels.iter().any(|l| *l != 0));
    }
}

#[test]
fn the_limit_of_a_control_group_is_the_default() {
    if support::cgroup::Cgroup::new(1 << 30).is_none() {
        return support::skipped("a limit of a control group: none can be made here");
    }
    let bytes = 400 << 20;
    let run = Run::limited(&support::workflow("bcss.yaml"), &["--threads", "2"], bytes).expect_code(0);
    let config = run.report("config.yaml");
    let memory = config.as_sequence().unwrap().iter().find(|c| c["name"] == "memory").unwrap();
    assert_eq!((memory["value"].as_u64(), memory["origin"].as_str()), (Some(bytes), Some("default")));
    assert!(run.number("projected_peak_bytes") <= bytes as f64);
}
