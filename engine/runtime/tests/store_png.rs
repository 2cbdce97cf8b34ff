//! PNG in and out: every pixel layout, every cut into blocks, and damaged files.

mod common;

use common::{block_of, cuts, pixels, shuffle};
use engine_model::spec::workflow::{Channels, Format};
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, probe};
use engine_runtime::store::write::{WriteOptions, create};
use ops_core::{ArrayMeta, Block, DType, Pool, Region};
use proptest::prelude::*;
use std::path::Path;

fn meta(shape: &[u64], dtype: DType) -> ArrayMeta {
    common::meta(shape, if shape.len() == 3 { "yxc" } else { "yx" }, dtype)
}

fn write(path: &Path, block: &Block, m: &ArrayMeta, regions: &[Region]) -> u64 {
    let pool = Pool::default();
    let w = create(Format::Png, path, m, &WriteOptions::default()).unwrap();
    let mut bytes = 0;
    for r in regions {
        bytes += w.write(&block.cut(&pool, r)).unwrap();
    }
    bytes + w.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_written_comes_back_whatever_the_blocks(
        h in 1u64..80, w in 1u64..90, c in 0u64..5, wide: bool, smooth: bool, seed: u64,
        eh in 1u64..40, ew in 1u64..40, order: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let shape = if c == 0 { vec![h, w] } else { vec![h, w, c] };
        let m = meta(&shape, if wide { DType::UInt16 } else { DType::UInt8 });
        let block = block_of(&m, seed, smooth);
        let (a, b) = (dir.path().join("a.png"), dir.path().join("b.png"));
        let told = write(&a, &block, &m, &[m.region()]);
        let mut regions = cuts(&shape, &[eh, ew, c.max(1)][..shape.len()]);
        shuffle(&mut regions, order);
        write(&b, &block, &m, &regions);
        let bytes = std::fs::read(&a).unwrap();
        prop_assert_eq!(told, bytes.len() as u64);
        prop_assert_eq!(&bytes, &std::fs::read(&b).unwrap(), "blocks show in the file");
        let found = probe(&a, &InputOptions::default()).unwrap().array;
        let kept = if c == 1 { vec![h, w] } else { shape };
        prop_assert_eq!(found.shape.as_slice(), &kept[..]);
        let (back, _) = open(&a, &InputOptions::default()).unwrap().read(&found.region(), &Pool::default()).unwrap();
        prop_assert_eq!(back.bytes(), block.bytes());
        prop_assert!(std::fs::read_dir(dir.path()).unwrap().count() == 2, "a temporary file is left");
    }
}

#[test]
fn many_threads_write_one_image_of_many_bands() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[1500, 700, 3], DType::UInt8);
    let block = block_of(&m, 5, false);
    let (one, many) = (dir.path().join("one.png"), dir.path().join("many.png"));
    write(&one, &block, &m, &[m.region()]);
    let w = create(Format::Png, &many, &m, &WriteOptions::default()).unwrap();
    let regions = cuts(&m.shape, &[64, 128, 3]);
    std::thread::scope(|s| {
        for t in 0..4 {
            let (w, regions, block) = (&w, &regions, &block);
            s.spawn(move || {
                let pool = Pool::default();
                for r in regions.iter().skip(t).step_by(4) {
                    w.write(&block.cut(&pool, r)).unwrap();
                }
            });
        }
    });
    w.finish().unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&many).unwrap());
}

#[test]
fn bool_is_black_and_white() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[5, 9], DType::Bool);
    let block = block_of(&m, 3, false);
    let path = dir.path().join("m.png");
    write(&path, &block, &m, &[m.region()]);
    let (back, _) = open(&path, &InputOptions::default()).unwrap().read(&m.region(), &Pool::default()).unwrap();
    let want: Vec<u8> = block.bytes().iter().map(|v| 255 * v).collect();
    assert_eq!(back.bytes(), want);
}

#[test]
fn an_unfinished_or_abandoned_file_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[50, 50], DType::UInt8);
    let path = dir.path().join("x.png");
    let w = create(Format::Png, &path, &m, &WriteOptions::default()).unwrap();
    w.write(&Block::zeros(DType::UInt8, Region::whole(&[20, 50]))).unwrap();
    assert!(w.finish().unwrap_err().to_string().contains("not written"));
    create(Format::Png, &path, &m, &WriteOptions::default()).unwrap().abandon();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(create(Format::Png, &path, &m, &WriteOptions::default()).unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn encoded(
    w: u32,
    h: u32,
    colour: png::ColorType,
    depth: png::BitDepth,
    data: &[u8],
    palette: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut e = png::Encoder::new(&mut out, w, h);
    e.set_color(colour);
    e.set_depth(depth);
    if let Some(p) = palette {
        e.set_palette(p.to_vec());
    }
    e.write_header().unwrap().write_image_data(data).unwrap();
    out
}

fn load(bytes: &[u8], options: &InputOptions) -> Result<(ArrayMeta, Vec<u8>), StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.dat");
    std::fs::write(&path, bytes).unwrap();
    let meta = probe(&path, options)?.array;
    let (block, _) = open(&path, options)?.read(&meta.region(), &Pool::default())?;
    Ok((meta, block.bytes().to_vec()))
}

#[test]
fn few_bits_are_widened_and_palettes_expanded() {
    use png::{BitDepth, ColorType};
    let all = InputOptions::default();
    let two = encoded(5, 1, ColorType::Grayscale, BitDepth::Two, &[0b00_01_10_11, 0b10_00_00_00], None);
    assert_eq!(load(&two, &all).unwrap().1, [0, 85, 170, 255, 170]);
    let palette = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let four = encoded(3, 2, ColorType::Indexed, BitDepth::Four, &[0x20, 0x10, 0x01, 0x20], Some(&palette));
    let (m, v) = load(&four, &all).unwrap();
    assert_eq!(m.to_string(), "uint8 yxc (2, 3, 3)");
    assert_eq!(v, [7, 8, 9, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let rgba = encoded(1, 1, ColorType::Rgba, BitDepth::Sixteen, &[1, 2, 3, 4, 5, 6, 7, 8], None);
    let rgb = InputOptions { channels: Channels::Rgb, ..InputOptions::default() };
    let (m, v) = load(&rgba, &rgb).unwrap();
    assert_eq!(m.shape.as_slice(), [1, 1, 3]);
    assert_eq!(v, [0x0102u16, 0x0304, 0x0506].iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>());
    let refused = load(&two, &rgb).unwrap_err().to_string();
    assert!(refused.contains("a grey image, expected red, green and blue"), "{refused}");
}

/// A good file: 40 x 30 grey, 8 bits.
fn good() -> Vec<u8> {
    encoded(40, 30, png::ColorType::Grayscale, png::BitDepth::Eight, &pixels(1200, 9, false), None)
}

fn with_ihdr(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut v = good();
    change(&mut v[16..29]);
    let crc = crc32fast::hash(&v[12..29]);
    v[29..33].copy_from_slice(&crc.to_be_bytes());
    v
}

#[test]
fn damaged_files_are_told_apart_and_never_panic() {
    let say = |bytes: &[u8], part: &str| {
        let text = load(bytes, &InputOptions::default()).unwrap_err().to_string();
        assert!(text.contains(part), "expected {part:?} in {text:?}");
        assert!(text.starts_with(|c: char| !c.is_uppercase()) || text.starts_with("PNG"), "{text}");
    };
    let v = good();
    assert!(load(&v, &InputOptions::default()).is_ok());
    say(&[], "empty");
    say(&v[..4], "no supported format");
    say(&v[..20], "truncated");
    for at in [33, 40, 60, v.len() / 2, v.len() - 20, v.len() - 13, v.len() - 1] {
        say(&v[..at], "");
    }
    let mut flipped = v.clone();
    flipped[60] ^= 0x10;
    say(&flipped, "damaged PNG");
    let mut bad_crc = v.clone();
    bad_crc[30] ^= 1;
    say(&bad_crc, "the checksum (CRC) of chunk IHDR is wrong");
    let wide = |w: u32, h: u32| {
        with_ihdr(move |b| {
            b[..4].copy_from_slice(&w.to_be_bytes());
            b[4..8].copy_from_slice(&h.to_be_bytes());
        })
    };
    say(&wide(0x7fff_ffff, 0x7fff_ffff), "bomb");
    say(&wide(60_000, 60_000), "bomb");
    say(&wide(0, 30), "");
    say(&wide(40, 0), "");
    say(&wide(40, 31), "");
    say(&wide(41, 30), "");
    say(&wide(u32::MAX, 1), "");
    say(&with_ihdr(|b| b[8] = 3), "damaged PNG");
    say(&with_ihdr(|b| b[9] = 5), "damaged PNG");
    say(&with_ihdr(|b| b[10] = 1), "damaged PNG");
    say(&with_ihdr(|b| b[12] = 7), "damaged PNG");
    say(&with_ihdr(|b| b[9] = 3), "palette");
    let p = encoded(2, 1, png::ColorType::Indexed, png::BitDepth::Eight, &[0, 3], Some(&[1, 2, 3, 4, 5, 6]));
    say(&p, "palette index 3, the palette has 2 colours");
    let mut signature = v.clone();
    signature[3] = b'H';
    say(&signature, "no supported format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_damage_is_an_error_or_nothing(at in 8usize..1500, value: u8, cut: bool) {
        let mut v = good();
        let n = v.len();
        if cut { v.truncate(at % n) } else { v[at % n] = value };
        let _ = load(&v, &InputOptions::default());
    }
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let error = engine_runtime::store::read::probe(&path, &Default::default()).unwrap_err().to_string();
    assert!(error.contains("expected a file or a directory"), "{error}");
}
