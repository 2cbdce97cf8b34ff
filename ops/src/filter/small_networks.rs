//! Networks of the windows that are used most, as code: their values stay in registers.
//!
//! Written by a test of `network`.

#![expect(clippy::let_and_return, reason = "every line is one step of the network")]

use super::lanes::RUN;

/// Sorts 3 values.
#[inline(always)]
pub(super) fn sort_3<K: Ord + Copy>(v: &[&[K; RUN]; 3], l: usize) -> [K; 3] {
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
pub(super) fn sort_5<K: Ord + Copy>(v: &[&[K; RUN]; 5], l: usize) -> [K; 5] {
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

/// Sorts 9 values.
#[inline(always)]
pub(super) fn sort_9<K: Ord + Copy>(v: &[&[K; RUN]; 9], l: usize) -> [K; 9] {
    let w0 = v[0][l].min(v[1][l]);
    let w1 = v[0][l].max(v[1][l]);
    let w2 = v[2][l].min(v[3][l]);
    let w3 = v[2][l].max(v[3][l]);
    let w4 = w0.min(w2);
    let w5 = w0.max(w2);
    let w6 = w1.min(w3);
    let w7 = w1.max(w3);
    let w8 = w6.min(w5);
    let w9 = w6.max(w5);
    let w10 = v[4][l].min(v[5][l]);
    let w11 = v[4][l].max(v[5][l]);
    let w12 = v[7][l].min(v[8][l]);
    let w13 = v[7][l].max(v[8][l]);
    let w14 = v[6][l].min(w12);
    let w15 = v[6][l].max(w12);
    let w16 = w13.min(w15);
    let w17 = w13.max(w15);
    let w18 = w10.min(w14);
    let w19 = w10.max(w14);
    let w20 = w17.min(w19);
    let w21 = w17.max(w19);
    let w22 = w11.min(w16);
    let w23 = w11.max(w16);
    let w24 = w22.min(w20);
    let w25 = w22.max(w20);
    let w26 = w23.min(w21);
    let w27 = w23.max(w21);
    let w28 = w4.min(w18);
    let w29 = w4.max(w18);
    let w30 = w27.min(w29);
    let w31 = w27.max(w29);
    let w32 = w9.min(w25);
    let w33 = w9.max(w25);
    let w34 = w32.min(w30);
    let w35 = w32.max(w30);
    let w36 = w33.min(w31);
    let w37 = w33.max(w31);
    let w38 = w8.min(w24);
    let w39 = w8.max(w24);
    let w40 = w7.min(w26);
    let w41 = w7.max(w26);
    let w42 = w40.min(w39);
    let w43 = w40.max(w39);
    let w44 = w38.min(w34);
    let w45 = w38.max(w34);
    let w46 = w42.min(w35);
    let w47 = w42.max(w35);
    let w48 = w43.min(w36);
    let w49 = w43.max(w36);
    let w50 = w41.min(w37);
    let w51 = w41.max(w37);
    [w28, w44, w45, w46, w47, w48, w49, w50, w51]
}

/// The median of 3 sorted lists of 3 values.
#[inline(always)]
pub(super) fn median_of_3_by_3<K: Ord + Copy>(v: &[&[K; RUN]; 9], l: usize) -> K {
    let w1 = v[6][l].max(v[3][l]);
    let w2 = v[8][l].min(v[5][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = v[7][l].min(v[4][l]);
    let w7 = v[7][l].max(v[4][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = w8.max(v[2][l]);
    let w13 = w9.max(v[1][l]);
    let w14 = w12.min(w13);
    let w15 = w10.max(v[0][l]);
    let w16 = w14.min(w15);
    let w17 = w16.min(w11);
    w17
}

/// The median of 5 sorted lists of 5 values.
#[inline(always)]
pub(super) fn median_of_5_by_5<K: Ord + Copy>(v: &[&[K; RUN]; 25], l: usize) -> K {
    let w0 = v[20][l].min(v[15][l]);
    let w1 = v[20][l].max(v[15][l]);
    let w2 = v[24][l].min(v[19][l]);
    let w3 = v[24][l].max(v[19][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = v[22][l].min(v[17][l]);
    let w7 = v[22][l].max(v[17][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = v[21][l].min(v[16][l]);
    let w13 = v[21][l].max(v[16][l]);
    let w14 = v[23][l].min(v[18][l]);
    let w15 = v[23][l].max(v[18][l]);
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
    let w26 = v[10][l].min(v[5][l]);
    let w27 = v[10][l].max(v[5][l]);
    let w28 = v[14][l].min(v[9][l]);
    let w29 = v[14][l].max(v[9][l]);
    let w30 = w28.min(w27);
    let w31 = w28.max(w27);
    let w32 = v[12][l].min(v[7][l]);
    let w33 = v[12][l].max(v[7][l]);
    let w34 = w32.min(w30);
    let w35 = w32.max(w30);
    let w36 = w33.min(w31);
    let w37 = w33.max(w31);
    let w38 = v[11][l].min(v[6][l]);
    let w39 = v[11][l].max(v[6][l]);
    let w40 = v[13][l].min(v[8][l]);
    let w41 = v[13][l].max(v[8][l]);
    let w42 = w40.min(w39);
    let w43 = w40.max(w39);
    let w44 = w38.min(w34);
    let w45 = w38.max(w34);
    let w46 = w42.min(w35);
    let w47 = w42.max(w35);
    let w48 = w43.min(w36);
    let w49 = w43.max(w36);
    let w50 = w41.min(w37);
    let w51 = w41.max(w37);
    let w53 = v[0][l].max(w26);
    let w54 = w51.min(w53);
    let w55 = w51.max(w53);
    let w56 = v[4][l].min(w47);
    let w57 = v[4][l].max(w47);
    let w58 = w56.min(w54);
    let w59 = w56.max(w54);
    let w60 = w57.min(w55);
    let w62 = v[2][l].min(w45);
    let w63 = v[2][l].max(w45);
    let w64 = w49.min(w63);
    let w65 = w49.max(w63);
    let w66 = w62.min(w58);
    let w67 = w62.max(w58);
    let w68 = w64.min(w59);
    let w69 = w64.max(w59);
    let w70 = w65.min(w60);
    let w71 = w65.max(w60);
    let w72 = v[1][l].min(w44);
    let w73 = v[1][l].max(w44);
    let w74 = w29.min(w73);
    let w75 = w29.max(w73);
    let w76 = w48.min(w74);
    let w77 = w48.max(w74);
    let w78 = v[3][l].min(w46);
    let w79 = v[3][l].max(w46);
    let w80 = w50.min(w79);
    let w81 = w50.max(w79);
    let w82 = w78.min(w76);
    let w83 = w78.max(w76);
    let w84 = w80.min(w77);
    let w85 = w80.max(w77);
    let w86 = w81.min(w75);
    let w89 = w72.max(w66);
    let w90 = w82.min(w67);
    let w91 = w82.max(w67);
    let w92 = w83.min(w68);
    let w93 = w83.max(w68);
    let w94 = w84.min(w69);
    let w95 = w84.max(w69);
    let w96 = w85.min(w70);
    let w97 = w85.max(w70);
    let w98 = w86.min(w71);
    let w99 = w86.max(w71);
    let w102 = w89.max(w3);
    let w103 = w90.max(w25);
    let w104 = w102.min(w103);
    let w105 = w91.max(w24);
    let w106 = w104.min(w105);
    let w107 = w92.max(w23);
    let w108 = w106.min(w107);
    let w109 = w93.max(w22);
    let w110 = w108.min(w109);
    let w111 = w94.max(w21);
    let w112 = w110.min(w111);
    let w113 = w95.max(w20);
    let w114 = w112.min(w113);
    let w115 = w96.max(w19);
    let w116 = w114.min(w115);
    let w117 = w97.max(w18);
    let w118 = w116.min(w117);
    let w119 = w98.max(w0);
    let w120 = w118.min(w119);
    let w121 = w120.min(w99);
    w121
}

/// The median of 3 sorted lists of 9 values.
#[inline(always)]
pub(super) fn median_of_3_by_9<K: Ord + Copy>(v: &[&[K; RUN]; 27], l: usize) -> K {
    let w1 = v[18][l].max(v[9][l]);
    let w2 = v[26][l].min(v[17][l]);
    let w4 = w2.min(w1);
    let w5 = w2.max(w1);
    let w6 = v[22][l].min(v[13][l]);
    let w7 = v[22][l].max(v[13][l]);
    let w8 = w6.min(w4);
    let w9 = w6.max(w4);
    let w10 = w7.min(w5);
    let w11 = w7.max(w5);
    let w12 = v[20][l].min(v[11][l]);
    let w13 = v[20][l].max(v[11][l]);
    let w14 = v[24][l].min(v[15][l]);
    let w15 = v[24][l].max(v[15][l]);
    let w16 = w14.min(w13);
    let w17 = w14.max(w13);
    let w19 = w12.max(w8);
    let w20 = w16.min(w9);
    let w21 = w16.max(w9);
    let w22 = w17.min(w10);
    let w23 = w17.max(w10);
    let w24 = w15.min(w11);
    let w27 = v[19][l].max(v[10][l]);
    let w28 = v[23][l].min(v[14][l]);
    let w29 = v[23][l].max(v[14][l]);
    let w30 = w28.min(w27);
    let w31 = w28.max(w27);
    let w32 = v[21][l].min(v[12][l]);
    let w33 = v[21][l].max(v[12][l]);
    let w34 = v[25][l].min(v[16][l]);
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
    let w60 = w47.max(v[8][l]);
    let w61 = w48.max(v[7][l]);
    let w62 = w60.min(w61);
    let w63 = w49.max(v[6][l]);
    let w64 = w62.min(w63);
    let w65 = w50.max(v[5][l]);
    let w66 = w64.min(w65);
    let w67 = w51.max(v[4][l]);
    let w68 = w66.min(w67);
    let w69 = w52.max(v[3][l]);
    let w70 = w68.min(w69);
    let w71 = w53.max(v[2][l]);
    let w72 = w70.min(w71);
    let w73 = w54.max(v[1][l]);
    let w74 = w72.min(w73);
    let w75 = w55.max(v[0][l]);
    let w76 = w74.min(w75);
    let w77 = w76.min(w56);
    w77
}
