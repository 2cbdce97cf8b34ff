//! Decoded results, read by other libraries than those that wrote them where there are any.

use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;
use tiff::decoder::{Decoder, DecodingResult, Limits};

/// Hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A PNG decoded by `image`: colour type, width, height, samples widened to 16 bits.
pub fn png(path: &Path) -> (image::ColorType, u32, u32, Vec<u16>) {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (color, width, height) = (image.color(), image.width(), image.height());
    let samples = match color.bytes_per_pixel() / color.channel_count() {
        1 => image.into_bytes().into_iter().map(u16::from).collect(),
        _ => image.into_bytes().as_chunks().0.iter().map(|b| u16::from_ne_bytes(*b)).collect(),
    };
    (color, width, height, samples)
}

/// The samples as little-endian bytes.
pub fn le(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// A float64 TIFF of one page.
pub fn tiff_f64(path: &Path) -> Vec<f64> {
    tiff_pages(path).swap_remove(0)
}

/// The pages of a float64 TIFF.
pub fn tiff_pages(path: &Path) -> Vec<Vec<f64>> {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut decoder = Decoder::new(file).unwrap().with_limits(Limits::unlimited());
    let mut pages = Vec::new();
    loop {
        match decoder.read_image().unwrap() {
            DecodingResult::F64(values) => pages.push(values),
            other => panic!("{}: expected float64, found {other:?}", path.display()),
        }
        if !decoder.more_images() {
            return pages;
        }
        decoder.next_image().unwrap();
    }
}
