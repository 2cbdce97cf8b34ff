//! TIFF in and out: every dtype, pages, tiles, codecs, regions, and damaged files.

mod common;

use common::{block_of, cuts, meta, shuffle};
use engine_model::catalog::Access;
use engine_model::spec::workflow::{Channels, Format};
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, probe};
use engine_runtime::store::write::{Compression, WriteOptions, create};
use ops_core::{ArrayMeta, Axes, Block, DType, Index, Pool, Region};
use proptest::prelude::*;
use std::path::Path;

fn write(path: &Path, block: &Block, m: &ArrayMeta, regions: &[Region], compression: Compression) -> u64 {
    let pool = Pool::default();
    let w = create(Format::Tiff, path, m, &WriteOptions { compression, ..WriteOptions::default() }).unwrap();
    let bytes: u64 = regions.iter().map(|r| w.write(&block.cut(&pool, r)).unwrap()).sum();
    bytes + w.finish().unwrap()
}

fn load(bytes: &[u8]) -> Result<(ArrayMeta, Vec<u8>), StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.dat");
    std::fs::write(&path, bytes).unwrap();
    let meta = probe(&path, &InputOptions::default())?.array;
    let (block, _) = open(&path, &InputOptions::default())?.read(&meta.region(), &Pool::default())?;
    Ok((meta, block.bytes().to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_is_written_comes_back_whatever_the_blocks(
        z in 1u64..4, h in 1u64..60, w in 1u64..50, c in 2u64..6, kind in 0..3, d in 1usize..11, smooth: bool,
        seed: u64, deflate: bool, e in prop::array::uniform3(1u64..30), order: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (shape, axes) = match kind { 0 => (vec![h, w], "yx"), 1 => (vec![h, w, c], "yxc"), _ => (vec![z, h, w], "zyx") };
        let m = meta(&shape, axes, DType::ALL[d]);
        let block = block_of(&m, seed, smooth);
        let compression = if deflate { Compression::Deflate } else { Compression::None };
        let (a, b) = (dir.path().join("a.tiff"), dir.path().join("b.tiff"));
        let told = write(&a, &block, &m, &[m.region()], compression);
        let mut regions = cuts(&shape, &e[..shape.len()]);
        shuffle(&mut regions, order);
        write(&b, &block, &m, &regions, compression);
        let bytes = std::fs::read(&a).unwrap();
        prop_assert_eq!(told, bytes.len() as u64);
        prop_assert_eq!(&bytes, &std::fs::read(&b).unwrap(), "blocks show in the file");
        let found = probe(&a, &InputOptions::default()).unwrap().array;
        let kept = if kind == 2 && z == 1 { vec![h, w] } else { shape.clone() };
        prop_assert_eq!(found.shape.as_slice(), &kept[..]);
        prop_assert_eq!(found.dtype, m.dtype);
        let reader = open(&a, &InputOptions::default()).unwrap();
        let (back, _) = reader.read(&found.region(), &Pool::default()).unwrap();
        prop_assert_eq!(back.bytes(), block.bytes());
        let lo: Index = kept.iter().map(|n| (seed % n) as i64).collect();
        let hi: Index = kept.iter().zip(&lo).map(|(n, l)| l + 1 + (order % (*n - *l as u64)) as i64).collect();
        let part = Region::new(lo, hi);
        let (cut, _) = reader.read(&part, &Pool::default()).unwrap();
        let same = back.cut(&Pool::default(), &part);
        prop_assert_eq!(cut.bytes(), same.bytes());
    }
}

#[test]
fn a_row_of_blocks_decodes_each_strip_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tiff");
    let m = meta(&[600, 2000], "yx", DType::UInt16);
    let file = write(&path, &block_of(&m, 3, false), &m, &[m.region()], Compression::None);
    let source = probe(&path, &InputOptions::default()).unwrap();
    assert_eq!(source.access, Access::Tiles(vec![65, 2000]));
    assert!(source.read_bytes < 4 << 20, "{}", source.read_bytes);
    let reader = open(&path, &InputOptions::default()).unwrap();
    let pool = Pool::default();
    let read: u64 = cuts(&m.shape, &[100, 100]).iter().map(|r| reader.read(r, &pool).unwrap().1).sum();
    assert!(read >= m.bytes() && read < file + file / 2, "{read} of {file}");
}

/// A TIFF whose pages are one uncompressed strip each, as the `tiff` crate and ImageJ write them.
fn one_strip(pages: u64, h: u32, w: u32) -> (Vec<u8>, Vec<u16>) {
    let data: Vec<u16> = (0..pages as u32 * h * w).map(|i| (i * 7 % 65_521) as u16).collect();
    let mut out = std::io::Cursor::new(Vec::new());
    let mut e = tiff::encoder::TiffEncoder::new(&mut out).unwrap();
    for page in data.chunks((h * w) as usize) {
        let mut image = e.new_image::<tiff::encoder::colortype::Gray16>(w, h).unwrap();
        image.rows_per_strip(h).unwrap();
        image.write_data(page).unwrap();
    }
    (out.into_inner(), data)
}

#[test]
fn a_large_strip_is_read_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.tif");
    let (file, data) = one_strip(3, 700, 500);
    std::fs::write(&path, &file).unwrap();
    let source = probe(&path, &InputOptions::default()).unwrap();
    assert_eq!(source.array.to_string(), "uint16 zyx (3, 700, 500)");
    assert_eq!(source.access, Access::Tiles(vec![1, 262, 500]));
    let reader = open(&path, &InputOptions::default()).unwrap();
    let r = Region::new(Index::from_slice(&[1, 600, 20]), Index::from_slice(&[2, 603, 30]));
    let (b, bytes) = reader.read(&r, &Pool::default()).unwrap();
    assert_eq!(bytes, 176 * 500 * 2);
    let want: Vec<u16> = (600..603).flat_map(|y| data[350_000 + y * 500 + 20..][..10].to_vec()).collect();
    assert_eq!(b.as_slice::<u16>(), want);
    assert_eq!(reader.read(&source.array.region(), &Pool::default()).unwrap().0.as_slice::<u16>(), data);
    std::fs::write(&path, &file[..file.len() / 2]).unwrap();
    let cut = open(&path, &InputOptions::default()).and_then(|r| r.read(&source.array.region(), &Pool::default()));
    assert!(matches!(cut, Err(StoreError::Corrupt { .. })));
}

#[test]
fn options_rename_axes_and_drop_alpha() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.tiff");
    let m = meta(&[3, 8, 9], "zyx", DType::UInt8);
    write(&path, &block_of(&m, 1, false), &m, &[m.region()], Compression::Deflate);
    let axes = |s| InputOptions { axes: Axes::parse(s), ..InputOptions::default() };
    assert_eq!(probe(&path, &axes("tyx")).unwrap().array.to_string(), "uint8 tyx (3, 8, 9)");
    let e = probe(&path, &axes("yx")).unwrap_err().to_string();
    assert!(e.contains("`axes: yx` names 2 axes, the file has 3: [3, 8, 9]"), "{e}");
    let m = meta(&[6, 7, 4], "yxc", DType::UInt8);
    let block = block_of(&m, 1, false);
    write(&path, &block, &m, &[m.region()], Compression::None);
    let rgb = InputOptions { channels: Channels::Rgb, ..InputOptions::default() };
    let found = probe(&path, &rgb).unwrap().array;
    assert_eq!(found.shape.as_slice(), [6, 7, 3]);
    let (b, _) = open(&path, &rgb).unwrap().read(&found.region(), &Pool::default()).unwrap();
    let want: Vec<u8> = block.bytes().chunks(4).flat_map(|p| p[..3].to_vec()).collect();
    assert_eq!(b.bytes(), want);
}

/// A good file: 30 x 40 uint16, one strip, classic.
fn good(compression: Compression) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("g.tiff");
    let m = meta(&[30, 40], "yx", DType::UInt16);
    write(&path, &block_of(&m, 9, false), &m, &[m.region()], compression);
    std::fs::read(&path).unwrap()
}

/// Sets the value of a tag of the first directory.
fn with_tag(mut v: Vec<u8>, tag: u16, value: u32) -> Vec<u8> {
    let ifd = u32::from_le_bytes(v[4..8].try_into().unwrap()) as usize;
    let n = usize::from(u16::from_le_bytes([v[ifd], v[ifd + 1]]));
    let entry = (0..n).map(|i| ifd + 2 + 12 * i).find(|e| u16::from_le_bytes([v[*e], v[e + 1]]) == tag).unwrap();
    v[entry + 8..entry + 12].copy_from_slice(&value.to_le_bytes());
    v
}

fn with_count(mut v: Vec<u8>, tag: u16, count: u32) -> Vec<u8> {
    let ifd = u32::from_le_bytes(v[4..8].try_into().unwrap()) as usize;
    let n = usize::from(u16::from_le_bytes([v[ifd], v[ifd + 1]]));
    let entry = (0..n).map(|i| ifd + 2 + 12 * i).find(|e| u16::from_le_bytes([v[*e], v[e + 1]]) == tag).unwrap();
    v[entry + 4..entry + 8].copy_from_slice(&count.to_le_bytes());
    v
}

#[test]
fn damaged_files_are_told_apart_and_never_panic() {
    let say = |name: &str, bytes: Vec<u8>, part: &str| {
        let text = match load(&bytes) {
            Ok((m, _)) => panic!("{name}: read as {m}"),
            Err(e) => e.to_string(),
        };
        assert!(text.contains(part), "{name}: expected {part:?} in {text:?}");
    };
    for c in [Compression::None, Compression::Deflate] {
        let v = good(c);
        assert!(load(&v).is_ok());
        let ifd = u32::from_le_bytes(v[4..8].try_into().unwrap()) as usize;
        say("header only", v[..8].to_vec(), "");
        say("half a header", v[..6].to_vec(), "");
        say("no directory", v[..ifd].to_vec(), "");
        say("half a directory", v[..ifd + 30].to_vec(), "");
        let mut far = v.clone();
        far[4..8].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
        say("directory beyond the end", far, "");
        let mut looped = v.clone();
        let next = ifd + 2 + 12 * usize::from(u16::from_le_bytes([v[ifd], v[ifd + 1]]));
        looped[next..next + 4].copy_from_slice(&(ifd as u32).to_le_bytes());
        say("directory that is its own next", looped, "");
        say("no rows", with_tag(v.clone(), 257, 0), "");
        say("no columns", with_tag(v.clone(), 256, 0), "");
        say("absurd rows", with_tag(v.clone(), 257, u32::MAX), "");
        say("absurd extents", with_tag(with_tag(v.clone(), 257, u32::MAX), 256, u32::MAX), "");
        say("rows of 8 MB", with_tag(v.clone(), 256, 4_000_000), "");
        say("more rows than strips", with_tag(v.clone(), 257, 31), "");
        say("strips of no rows", with_tag(v.clone(), 278, 0), "");
        say("three bits", with_tag(v.clone(), 258, 3), "");
        say("no bits", with_tag(v.clone(), 258, 0), "");
        say("codec unheard of", with_tag(v.clone(), 259, 4711), "");
        say("colours unheard of", with_tag(v.clone(), 262, 99), "");
        say("palette", with_tag(v.clone(), 262, 3), "");
        say("no samples", with_tag(v.clone(), 277, 0), "");
        say("strip beyond the end", with_tag(v.clone(), 273, 0x7fff_ffff), "");
        say("four thousand million strips", with_count(v.clone(), 273, u32::MAX), "");
        say("four thousand million bit depths", with_count(v.clone(), 258, u32::MAX), "");
        say("samples of no known kind", with_tag(v.clone(), 339, 9), "");
    }
    let mut bits = good(Compression::Deflate);
    bits[200] ^= 0x40;
    bits[300] ^= 0x40;
    say("deflate damaged", bits, "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn any_damage_is_an_error_or_nothing(at: usize, value: u8, more in any::<Option<(usize, u8)>>(), cut: bool, plain: bool) {
        let mut v = good(if plain { Compression::None } else { Compression::Deflate });
        let ifd = u32::from_le_bytes(v[4..8].try_into().unwrap()) as usize;
        let n = v.len();
        // Most of the damage goes to the directory.
        let place = |at: usize| if at.is_multiple_of(4) { at % n } else { ifd + at % (n - ifd) };
        if cut { v.truncate(at % n) } else { v[place(at)] = value };
        if let (Some((at, value)), false) = (more, cut) { v[place(at)] = value }
        let _ = load(&v);
    }
}
