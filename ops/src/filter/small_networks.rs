//! Networks of the windows that are used most, as code: their values stay in registers.
//!
//! Written by a test of `networks_written`.

use super::paired_rows::LANES;

/// Sorts 3 values.
#[inline(always)]
pub(super) fn sort_3<K: Ord + Copy>(v: &[&[K; LANES]; 3], l: usize) -> [K; 3] {
    let w0 = v[1][l].min(v[2][l]);
    let w1 = v[1][l].max(v[2][l]);
    let w2 = v[0][l].min(w0);
    let w3 = v[0][l].max(w0);
    let w4 = w1.min(w3);
    let w5 = w1.max(w3);
    [w2, w4, w5]
}

/// Sorts 5 values.
#[inline(always)]
pub(super) fn sort_5<K: Ord + Copy>(v: &[&[K; LANES]; 5], l: usize) -> [K; 5] {
    let w0 = v[0][l].min(v[1][l]);
    let w1 = v[0][l].max(v[1][l]);
    let w2 = v[3][l].min(v[4][l]);
    let w3 = v[3][l].max(v[4][l]);
    let w4 = v[2][l].min(w2);
    let w5 = v[2][l].max(w2);
    let w6 = w3.min(w5);
    let w7 = w3.max(w5);
    let w8 = w0.min(w4);
    let w9 = w0.max(w4);
    let w10 = w7.min(w9);
    let w11 = w7.max(w9);
    let w12 = w1.min(w6);
    let w13 = w1.max(w6);
    let w14 = w12.min(w10);
    let w15 = w12.max(w10);
    let w16 = w13.min(w11);
    let w17 = w13.max(w11);
    [w8, w14, w15, w16, w17]
}

/// Merges three sorted lists of 3 values.
#[inline(always)]
pub(super) fn merge_3_by_3<K: Ord + Copy>(v: &[&[K; LANES]; 9], l: usize) -> [K; 9] {
    let w0 = v[0][l].min(v[3][l]);
    let w1 = v[0][l].max(v[3][l]);
    let w2 = v[2][l].min(v[5][l]);
    let w3 = v[2][l].max(v[5][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = v[1][l].min(v[4][l]);
    let w7 = v[1][l].max(v[4][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = w0.min(v[6][l]);
    let w13 = w0.max(v[6][l]);
    let w14 = w11.min(w13);
    let w15 = w11.max(w13);
    let w16 = w9.min(v[8][l]);
    let w17 = w9.max(v[8][l]);
    let w18 = w16.min(w14);
    let w19 = w16.max(w14);
    let w20 = w17.min(w15);
    let w21 = w17.max(w15);
    let w22 = w8.min(v[7][l]);
    let w23 = w8.max(v[7][l]);
    let w24 = w3.min(w23);
    let w25 = w3.max(w23);
    let w26 = w10.min(w24);
    let w27 = w10.max(w24);
    let w28 = w22.min(w18);
    let w29 = w22.max(w18);
    let w30 = w26.min(w19);
    let w31 = w26.max(w19);
    let w32 = w27.min(w20);
    let w33 = w27.max(w20);
    let w34 = w25.min(w21);
    let w35 = w25.max(w21);
    [w12, w28, w29, w30, w31, w32, w33, w34, w35]
}

/// Merges two sorted rows of 3 values of 3 in a box.
#[inline(always)]
pub(super) fn merge_rows_of_3<K: Ord + Copy>(a: &[[K; LANES]; 3], b: &[[K; LANES]; 3], l: usize) -> [K; 4] {
    let w1 = a[0][l].max(b[0][l]);
    let w2 = a[2][l].min(b[2][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = a[1][l].min(b[1][l]);
    let w7 = a[1][l].max(b[1][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    [w8, w9, w10, w11]
}

/// The medians of two boxes of 3 sorted rows of 3 values that share all but their first and last.
#[inline(always)]
pub(super) fn medians_of_3_by_3<K: Ord + Copy>(
    first: &[[K; LANES]; 3],
    both: &[&[[K; LANES]; 4]; 1],
    last: &[[K; LANES]; 3],
    l: usize,
) -> [K; 2] {
    let w0 = both[0][0][l].max(first[2][l]);
    let w1 = both[0][1][l].max(first[1][l]);
    let w2 = w0.min(w1);
    let w3 = both[0][2][l].max(first[0][l]);
    let w4 = w2.min(w3);
    let w5 = w4.min(both[0][3][l]);
    let w6 = both[0][0][l].max(last[2][l]);
    let w7 = both[0][1][l].max(last[1][l]);
    let w8 = w6.min(w7);
    let w9 = both[0][2][l].max(last[0][l]);
    let w10 = w8.min(w9);
    let w11 = w10.min(both[0][3][l]);
    [w5, w11]
}

/// Merges two sorted rows of 5 values of 5 in a box.
#[inline(always)]
pub(super) fn merge_all_rows_of_5<K: Ord + Copy>(a: &[[K; LANES]; 5], b: &[[K; LANES]; 5], l: usize) -> [K; 10] {
    let w0 = a[0][l].min(b[0][l]);
    let w1 = a[0][l].max(b[0][l]);
    let w2 = a[4][l].min(b[4][l]);
    let w3 = a[4][l].max(b[4][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = a[2][l].min(b[2][l]);
    let w7 = a[2][l].max(b[2][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = a[1][l].min(b[1][l]);
    let w13 = a[1][l].max(b[1][l]);
    let w14 = a[3][l].min(b[3][l]);
    let w15 = a[3][l].max(b[3][l]);
    let w16 = w14.min(w13);
    let w17 = w14.max(w13);
    let w18 = w12.min(w8);
    let w19 = w12.max(w8);
    let w20 = w16.min(w9);
    let w21 = w16.max(w9);
    let w22 = w17.min(w10);
    let w23 = w17.max(w10);
    let w24 = w15.min(w11);
    let w25 = w15.max(w11);
    [w0, w18, w19, w20, w21, w22, w23, w24, w25, w3]
}

/// The medians of two boxes of 5 sorted rows of 5 values that share all but their first and last.
#[inline(always)]
pub(super) fn medians_of_5_by_5<K: Ord + Copy>(
    first: &[[K; LANES]; 5],
    both: &[&[[K; LANES]; 10]; 2],
    last: &[[K; LANES]; 5],
    l: usize,
) -> [K; 2] {
    let w1 = both[0][0][l].max(both[1][0][l]);
    let w2 = both[0][8][l].min(both[1][8][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = both[0][4][l].min(both[1][4][l]);
    let w7 = both[0][4][l].max(both[1][4][l]);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w13 = both[0][2][l].max(both[1][2][l]);
    let w14 = both[0][6][l].min(both[1][6][l]);
    let w16 = w14.min(w13);
    let w17 = w14.max(w13);
    let w21 = w16.max(w9);
    let w22 = w17.min(w10);
    let w23 = w17.max(w10);
    let w27 = both[0][1][l].max(both[1][1][l]);
    let w28 = both[0][9][l].min(both[1][9][l]);
    let w30 = w28.min(w27);
    let w31 = w28.max(w27);
    let w32 = both[0][5][l].min(both[1][5][l]);
    let w33 = both[0][5][l].max(both[1][5][l]);
    let w35 = w32.max(w30);
    let w36 = w33.min(w31);
    let w39 = both[0][3][l].max(both[1][3][l]);
    let w40 = both[0][7][l].min(both[1][7][l]);
    let w42 = w40.min(w39);
    let w43 = w40.max(w39);
    let w46 = w42.min(w35);
    let w47 = w42.max(w35);
    let w48 = w43.min(w36);
    let w58 = w46.min(w21);
    let w59 = w46.max(w21);
    let w60 = w47.min(w22);
    let w61 = w47.max(w22);
    let w62 = w48.min(w23);
    let w63 = w48.max(w23);
    let w70 = w58.max(first[4][l]);
    let w71 = w59.max(first[3][l]);
    let w72 = w70.min(w71);
    let w73 = w60.max(first[2][l]);
    let w74 = w72.min(w73);
    let w75 = w61.max(first[1][l]);
    let w76 = w74.min(w75);
    let w77 = w62.max(first[0][l]);
    let w78 = w76.min(w77);
    let w79 = w78.min(w63);
    let w80 = w58.max(last[4][l]);
    let w81 = w59.max(last[3][l]);
    let w82 = w80.min(w81);
    let w83 = w60.max(last[2][l]);
    let w84 = w82.min(w83);
    let w85 = w61.max(last[1][l]);
    let w86 = w84.min(w85);
    let w87 = w62.max(last[0][l]);
    let w88 = w86.min(w87);
    let w89 = w88.min(w63);
    [w79, w89]
}

/// Merges two sorted rows of 3 values of 9 in a box.
#[inline(always)]
pub(super) fn merge_all_rows_of_3<K: Ord + Copy>(a: &[[K; LANES]; 3], b: &[[K; LANES]; 3], l: usize) -> [K; 6] {
    let w0 = a[0][l].min(b[0][l]);
    let w1 = a[0][l].max(b[0][l]);
    let w2 = a[2][l].min(b[2][l]);
    let w3 = a[2][l].max(b[2][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = a[1][l].min(b[1][l]);
    let w7 = a[1][l].max(b[1][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    [w0, w8, w9, w10, w11, w3]
}

/// The medians of two boxes of 9 sorted rows of 3 values that share all but their first and last.
#[inline(always)]
pub(super) fn medians_of_9_by_3<K: Ord + Copy>(
    first: &[[K; LANES]; 3],
    both: &[&[[K; LANES]; 6]; 4],
    last: &[[K; LANES]; 3],
    l: usize,
) -> [K; 2] {
    let w0 = both[0][0][l].min(both[1][0][l]);
    let w1 = both[0][0][l].max(both[1][0][l]);
    let w2 = both[0][4][l].min(both[1][4][l]);
    let w3 = both[0][4][l].max(both[1][4][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = both[0][2][l].min(both[1][2][l]);
    let w7 = both[0][2][l].max(both[1][2][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = both[0][1][l].min(both[1][1][l]);
    let w13 = both[0][1][l].max(both[1][1][l]);
    let w14 = both[0][5][l].min(both[1][5][l]);
    let w15 = both[0][5][l].max(both[1][5][l]);
    let w16 = w14.min(w13);
    let w17 = w14.max(w13);
    let w18 = both[0][3][l].min(both[1][3][l]);
    let w19 = both[0][3][l].max(both[1][3][l]);
    let w20 = w18.min(w16);
    let w21 = w18.max(w16);
    let w22 = w19.min(w17);
    let w23 = w19.max(w17);
    let w24 = w12.min(w8);
    let w25 = w12.max(w8);
    let w26 = w20.min(w9);
    let w27 = w20.max(w9);
    let w28 = w21.min(w10);
    let w29 = w21.max(w10);
    let w30 = w22.min(w11);
    let w31 = w22.max(w11);
    let w32 = w23.min(w3);
    let w33 = w23.max(w3);
    let w34 = both[2][0][l].min(both[3][0][l]);
    let w35 = both[2][0][l].max(both[3][0][l]);
    let w36 = both[2][4][l].min(both[3][4][l]);
    let w37 = both[2][4][l].max(both[3][4][l]);
    let w38 = w36.min(w35);
    let w39 = w36.max(w35);
    let w40 = both[2][2][l].min(both[3][2][l]);
    let w41 = both[2][2][l].max(both[3][2][l]);
    let w42 = w40.min(w38);
    let w43 = w40.max(w38);
    let w44 = w41.min(w39);
    let w45 = w41.max(w39);
    let w46 = both[2][1][l].min(both[3][1][l]);
    let w47 = both[2][1][l].max(both[3][1][l]);
    let w48 = both[2][5][l].min(both[3][5][l]);
    let w49 = both[2][5][l].max(both[3][5][l]);
    let w50 = w48.min(w47);
    let w51 = w48.max(w47);
    let w52 = both[2][3][l].min(both[3][3][l]);
    let w53 = both[2][3][l].max(both[3][3][l]);
    let w54 = w52.min(w50);
    let w55 = w52.max(w50);
    let w56 = w53.min(w51);
    let w57 = w53.max(w51);
    let w58 = w46.min(w42);
    let w59 = w46.max(w42);
    let w60 = w54.min(w43);
    let w61 = w54.max(w43);
    let w62 = w55.min(w44);
    let w63 = w55.max(w44);
    let w64 = w56.min(w45);
    let w65 = w56.max(w45);
    let w66 = w57.min(w37);
    let w67 = w57.max(w37);
    let w69 = w0.max(w34);
    let w70 = w31.min(w65);
    let w73 = w70.max(w69);
    let w75 = w27.max(w61);
    let w78 = w75.min(w73);
    let w79 = w75.max(w73);
    let w81 = w25.max(w59);
    let w82 = w33.min(w67);
    let w84 = w82.min(w81);
    let w85 = w82.max(w81);
    let w86 = w29.min(w63);
    let w87 = w29.max(w63);
    let w89 = w86.max(w84);
    let w90 = w87.min(w85);
    let w96 = w89.min(w78);
    let w97 = w89.max(w78);
    let w98 = w90.min(w79);
    let w103 = w24.max(w58);
    let w104 = w32.min(w66);
    let w106 = w104.min(w103);
    let w107 = w104.max(w103);
    let w108 = w28.min(w62);
    let w109 = w28.max(w62);
    let w111 = w108.max(w106);
    let w112 = w109.min(w107);
    let w115 = w26.max(w60);
    let w116 = w15.min(w49);
    let w118 = w116.min(w115);
    let w120 = w30.min(w64);
    let w122 = w120.min(w118);
    let w123 = w120.max(w118);
    let w129 = w122.max(w111);
    let w130 = w123.min(w112);
    let w131 = w123.max(w112);
    let w145 = w129.max(w96);
    let w146 = w130.min(w97);
    let w147 = w130.max(w97);
    let w148 = w131.min(w98);
    let w158 = w145.max(first[2][l]);
    let w159 = w146.max(first[1][l]);
    let w160 = w158.min(w159);
    let w161 = w147.max(first[0][l]);
    let w162 = w160.min(w161);
    let w163 = w162.min(w148);
    let w164 = w145.max(last[2][l]);
    let w165 = w146.max(last[1][l]);
    let w166 = w164.min(w165);
    let w167 = w147.max(last[0][l]);
    let w168 = w166.min(w167);
    let w169 = w168.min(w148);
    [w163, w169]
}

/// Merges two sorted rows of 9 values of 3 in a box.
#[inline(always)]
pub(super) fn merge_rows_of_9<K: Ord + Copy>(a: &[[K; LANES]; 9], b: &[[K; LANES]; 9], l: usize) -> [K; 10] {
    let w1 = a[0][l].max(b[0][l]);
    let w2 = a[8][l].min(b[8][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = a[4][l].min(b[4][l]);
    let w7 = a[4][l].max(b[4][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = a[2][l].min(b[2][l]);
    let w13 = a[2][l].max(b[2][l]);
    let w14 = a[6][l].min(b[6][l]);
    let w15 = a[6][l].max(b[6][l]);
    let w16 = w14.min(w13);
    let w17 = w14.max(w13);
    let w19 = w12.max(w8);
    let w20 = w16.min(w9);
    let w21 = w16.max(w9);
    let w22 = w17.min(w10);
    let w23 = w17.max(w10);
    let w24 = w15.min(w11);
    let w27 = a[1][l].max(b[1][l]);
    let w28 = a[5][l].min(b[5][l]);
    let w29 = a[5][l].max(b[5][l]);
    let w30 = w28.min(w27);
    let w31 = w28.max(w27);
    let w32 = a[3][l].min(b[3][l]);
    let w33 = a[3][l].max(b[3][l]);
    let w34 = a[7][l].min(b[7][l]);
    let w36 = w34.min(w33);
    let w37 = w34.max(w33);
    let w38 = w32.min(w30);
    let w39 = w32.max(w30);
    let w40 = w36.min(w31);
    let w41 = w36.max(w31);
    let w42 = w37.min(w29);
    let w43 = w37.max(w29);
    let w47 = w38.max(w19);
    let w48 = w39.min(w20);
    let w49 = w39.max(w20);
    let w50 = w40.min(w21);
    let w51 = w40.max(w21);
    let w52 = w41.min(w22);
    let w53 = w41.max(w22);
    let w54 = w42.min(w23);
    let w55 = w42.max(w23);
    let w56 = w43.min(w24);
    [w47, w48, w49, w50, w51, w52, w53, w54, w55, w56]
}

/// The medians of two boxes of 3 sorted rows of 9 values that share all but their first and last.
#[inline(always)]
pub(super) fn medians_of_3_by_9<K: Ord + Copy>(
    first: &[[K; LANES]; 9],
    both: &[&[[K; LANES]; 10]; 1],
    last: &[[K; LANES]; 9],
    l: usize,
) -> [K; 2] {
    let w0 = both[0][0][l].max(first[8][l]);
    let w1 = both[0][1][l].max(first[7][l]);
    let w2 = w0.min(w1);
    let w3 = both[0][2][l].max(first[6][l]);
    let w4 = w2.min(w3);
    let w5 = both[0][3][l].max(first[5][l]);
    let w6 = w4.min(w5);
    let w7 = both[0][4][l].max(first[4][l]);
    let w8 = w6.min(w7);
    let w9 = both[0][5][l].max(first[3][l]);
    let w10 = w8.min(w9);
    let w11 = both[0][6][l].max(first[2][l]);
    let w12 = w10.min(w11);
    let w13 = both[0][7][l].max(first[1][l]);
    let w14 = w12.min(w13);
    let w15 = both[0][8][l].max(first[0][l]);
    let w16 = w14.min(w15);
    let w17 = w16.min(both[0][9][l]);
    let w18 = both[0][0][l].max(last[8][l]);
    let w19 = both[0][1][l].max(last[7][l]);
    let w20 = w18.min(w19);
    let w21 = both[0][2][l].max(last[6][l]);
    let w22 = w20.min(w21);
    let w23 = both[0][3][l].max(last[5][l]);
    let w24 = w22.min(w23);
    let w25 = both[0][4][l].max(last[4][l]);
    let w26 = w24.min(w25);
    let w27 = both[0][5][l].max(last[3][l]);
    let w28 = w26.min(w27);
    let w29 = both[0][6][l].max(last[2][l]);
    let w30 = w28.min(w29);
    let w31 = both[0][7][l].max(last[1][l]);
    let w32 = w30.min(w31);
    let w33 = both[0][8][l].max(last[0][l]);
    let w34 = w32.min(w33);
    let w35 = w34.min(both[0][9][l]);
    [w17, w35]
}
