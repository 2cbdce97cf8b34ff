//! JPEG: header, pixels, damaged files.

#[expect(dead_code, reason = "only the bytes are needed here")]
mod common;

use common::pixels;
use engine_model::catalog::Access;
use engine_model::spec::workflow::Channels;
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, probe};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use ops_core::{ArrayMeta, Index, Pool, Region};
use proptest::prelude::*;

fn good(colour: ExtendedColorType) -> Vec<u8> {
    let channels = if colour == ExtendedColorType::L8 { 1 } else { 3 };
    let mut v = Vec::new();
    JpegEncoder::new_with_quality(&mut v, 90).encode(&pixels(40 * 30 * channels, 9, false), 40, 30, colour).unwrap();
    v
}

fn load(bytes: &[u8], options: &InputOptions) -> Result<(ArrayMeta, Vec<u8>), StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.dat");
    std::fs::write(&path, bytes).unwrap();
    let source = probe(&path, options)?;
    assert_eq!(source.access, Access::Whole);
    let reader = open(&path, options)?;
    let (block, _) = reader.read(&source.array.region(), &Pool::default())?;
    if source.array.shape[0] > 12 && source.array.shape[1] > 20 {
        let mut part = Region::new(Index::from_slice(&[3, 5]), Index::from_slice(&[12, 20]));
        if source.array.rank() == 3 {
            part.lo.push(1);
            part.hi.push(3);
        }
        let (cut, _) = reader.read(&part, &Pool::default())?;
        assert_eq!(cut.bytes(), block.cut(&Pool::default(), &part).bytes());
    }
    Ok((source.array, block.bytes().to_vec()))
}

#[test]
fn grey_and_colour_are_read() {
    let all = InputOptions::default();
    let rgb = InputOptions { channels: Channels::Rgb, ..InputOptions::default() };
    let grey = good(ExtendedColorType::L8);
    assert_eq!(load(&grey, &all).unwrap().0.to_string(), "uint8 yx (30, 40)");
    assert!(load(&grey, &rgb).unwrap_err().to_string().contains("a grey image"));
    let colour = good(ExtendedColorType::Rgb8);
    let (m, v) = load(&colour, &rgb).unwrap();
    assert_eq!(m.to_string(), "uint8 yxc (30, 40, 3)");
    assert_eq!(v, image::load_from_memory(&colour).unwrap().to_rgb8().into_raw());
}

#[test]
fn damaged_files_are_told_apart_and_never_panic() {
    let say = |name: &str, bytes: &[u8], part: &str| match load(bytes, &InputOptions::default()) {
        Ok((m, _)) => panic!("{name}: read as {m}"),
        Err(e) => assert!(e.to_string().contains(part), "{name}: expected {part:?} in {e}"),
    };
    let v = good(ExtendedColorType::Rgb8);
    let sof = v.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut v = v.clone();
        v[at..at + bytes.len()].copy_from_slice(bytes);
        v
    };
    say("three bytes", &v[..3], "truncated");
    say("up to the frame", &v[..sof + 3], "truncated");
    for part in 1..10 {
        say("a part", &v[..v.len() * part / 10], "truncated");
    }
    say("all but the end", &v[..v.len() - 2], "no end of image");
    say("absurd extents", &with(sof + 5, &[0xff, 0xff, 0xff, 0xff]), "bomb");
    say("no rows", &with(sof + 5, &[0, 0]), "zero");
    say("no columns", &with(sof + 7, &[0, 0]), "zero");
    say("12 bits", &with(sof + 4, &[12]), "a JPEG of 12 bits");
    say("two channels", &with(sof + 9, &[2]), "channels");
    say("cmyk", &with(sof + 9, &[4]), "channels");
    say("lossless", &with(sof + 1, &[0xc3]), "supported are baseline");
    say("no marker", &with(sof, &[0]), "expected a marker");
    say("a segment of one byte", &with(sof + 2, &[0, 1]), "a segment of length 1");
    say("an empty frame", &[0xff, 0xd8, 0xff, 0xc0, 0, 2, 0xff, 0xd9], "frame header of 0 bytes");
    say("a scan without frame", &[0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0xd9], "no frame header");
    say("a frame without scan", &with(sof + 19, &[0xff, 0xd9]), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_damage_is_an_error_or_nothing(at: usize, value: u8, cut: bool) {
        let mut v = good(ExtendedColorType::Rgb8);
        let n = v.len();
        if cut { v.truncate(3 + at % (n - 3)) } else { v[3 + at % (n - 3)] = value };
        let _ = load(&v, &InputOptions::default());
    }
}
