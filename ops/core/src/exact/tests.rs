use super::*;
use proptest::prelude::*;

fn sum(v: &[f64]) -> ExactSum {
    let mut s = ExactSum::default();
    v.iter().for_each(|&x| s.add(x));
    s
}

fn squares(v: &[f64]) -> ExactSum {
    let mut s = ExactSum::default();
    v.iter().for_each(|&x| s.add_square(x));
    s
}

#[test]
fn cancellation_loses_nothing() {
    assert_eq!(sum(&[1e308, 1.0, -1e308]).round(), 1.0);
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).round(), f64::MAX);
    assert_eq!(sum(&[f64::MAX, f64::MAX]).round(), f64::INFINITY);
    assert_eq!(sum(&[1.0, -1.0]).round().to_bits(), 0.0f64.to_bits());
    assert_eq!(sum(&[5e-324, 5e-324, 5e-324]).round(), 1.5e-323);
    assert_eq!(sum(&[1e-310, -1e-310, -5e-324]).round(), -5e-324);
}

#[test]
fn ties_go_to_even() {
    let one_ulp = f64::EPSILON;
    assert_eq!(sum(&[1.0, one_ulp / 2.0]).round(), 1.0);
    assert_eq!(sum(&[1.0 + one_ulp, one_ulp / 2.0]).round(), 1.0 + 2.0 * one_ulp);
    assert_eq!(sum(&[1.0, one_ulp / 2.0, 5e-324]).round(), 1.0 + one_ulp);
    assert_eq!(sum(&[f64::MAX, 2f64.powi(969)]).round(), f64::MAX);
    assert_eq!(sum(&[f64::MAX, 2f64.powi(970)]).round(), f64::INFINITY);
}

#[test]
fn what_is_not_finite_shows_whatever_the_order() {
    assert_eq!(sum(&[1.0, f64::INFINITY, 2.0]).round(), f64::INFINITY);
    assert_eq!(sum(&[f64::NEG_INFINITY, f64::NEG_INFINITY]).round(), f64::NEG_INFINITY);
    assert!(sum(&[f64::NEG_INFINITY, f64::INFINITY]).round().is_nan());
    assert!(sum(&[1.0, f64::NAN]).round().is_nan());
    assert_eq!(squares(&[f64::NEG_INFINITY]).round(), f64::INFINITY);
    assert!(variance(2, &sum(&[1.0, f64::INFINITY]), &squares(&[1.0, f64::INFINITY])).is_nan());
    assert!(mean(0, &ExactSum::default()).is_nan());
}

#[test]
fn a_run_of_which_bits_would_be_lost_is_added_value_by_value() {
    let far = [1e9, 1e-30, -1e9, 5e-324, 1e300, -1e300];
    let mut s = ExactSum::default();
    s.add_all(&far);
    assert_eq!(s.round(), sum(&far).round());
    s.add_all(&[f64::INFINITY]);
    assert_eq!(s.round(), f64::INFINITY);
    let mut s = ExactSum::default();
    // Their squares differ by more than two integers hold.
    let far = [1e9, 1e-9, 3e-200];
    s.add_squares(&far);
    assert_eq!(variance(3, &sum(&far), &s).to_bits(), variance(3, &sum(&far), &squares(&far)).to_bits());
    s.add_all(&[-0.0; 3]);
    assert_eq!(sum(&[-0.0]).round().to_bits(), 0);
}

#[test]
fn squares_of_the_smallest_are_kept() {
    let s = squares(&[2f64.powi(-600); 4]);
    assert_eq!(s.round(), 0.0);
    // 4 * 2^-1200 / 2^-1200 = 4: seen through the variance of values that differ by more.
    assert_eq!(variance(2, &sum(&[0.0, 2f64.powi(-500)]), &squares(&[0.0, 2f64.powi(-500)])), 2f64.powi(-1002));
}

#[test]
fn variance_by_hand() {
    // 1 2 3 4: mean 2.5, squares 30, (4*30 - 100) / 16 = 1.25.
    let v = [1.0, 2.0, 3.0, 4.0];
    assert_eq!((mean(4, &sum(&v)), variance(4, &sum(&v), &squares(&v))), (2.5, 1.25));
    // A large offset does not show: the naive formula gives 0 here.
    let w: Vec<f64> = v.iter().map(|x| x + 1e15).collect();
    assert_eq!(variance(4, &sum(&w), &squares(&w)), 1.25);
    assert_eq!(variance(3, &sum(&[0.1; 3]), &squares(&[0.1; 3])), 0.0);
    assert_eq!(ratio(2, 3), 2.0 / 3.0);
    assert_eq!(ratio(u128::MAX, 1), 2f64.powi(128));
}

#[test]
fn integers_are_exact_to_the_last() {
    let mut s = ExactSum::default();
    s.add_i128(i128::MIN);
    s.add_u128(u128::MAX);
    s.add_i128(i128::MIN);
    s.add(2.0);
    assert_eq!(s.round(), 1.0);
}

#[test]
fn the_window_stays_small_and_within_its_bound() {
    let image: Vec<f64> = (0..10_000).map(|i| f64::from(i % 256)).collect();
    assert!(sum(&image).limbs.len() <= 2);
    let wide = [f64::MAX, 5e-324, -f64::MAX, f64::MAX, f64::MAX];
    let own =
        |s: &ExactSum| (size_of::<ExactSum>() + if s.limbs.spilled() { 8 * s.limbs.capacity() } else { 0 }) as u64;
    assert!(own(&sum(&wide)) <= ExactSum::bytes_bound(crate::DType::Float64, false));
    assert!(own(&squares(&wide)) <= ExactSum::bytes_bound(crate::DType::Float64, true));
    assert!(own(&sum(&image)) <= ExactSum::bytes_bound(crate::DType::UInt8, false));
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
        4 => -1000.0..1000.0f64,
        2 => (-300i32..300, any::<bool>()).prop_map(|(e, n)| if n { -(2f64.powi(e)) } else { 2f64.powi(e) }),
        1 => (0u64..1 << 52).prop_map(f64::from_bits),
    ]
}

proptest! {
    #[test]
    fn any_partition_in_any_order_gives_the_same_bits(
        v in proptest::collection::vec(any_float(), 0..60),
        keys in proptest::collection::vec((any::<u32>(), 0usize..5), 60),
    ) {
        let (whole, whole2) = (sum(&v), squares(&v));
        let mut order: Vec<usize> = (0..v.len()).collect();
        order.sort_by_key(|&i| keys[i].0);
        let mut parts = vec![(ExactSum::default(), ExactSum::default()); 5];
        for i in order {
            parts[keys[i].1].0.add(v[i]);
            parts[keys[i].1].1.add_square(v[i]);
        }
        let (mut a, mut b) = (ExactSum::default(), ExactSum::default());
        for (s, q) in parts.iter().rev() {
            a.merge(s);
            b.merge(q);
        }
        let n = v.len() as u64;
        prop_assert_eq!(a.round().to_bits(), whole.round().to_bits());
        prop_assert_eq!(b.round().to_bits(), whole2.round().to_bits());
        prop_assert_eq!(mean(n, &a).to_bits(), mean(n, &whole).to_bits());
        prop_assert_eq!(variance(n, &a, &b).to_bits(), variance(n, &whole, &whole2).to_bits());
    }

    #[test]
    fn runs_are_added_as_their_values_are(
        v in proptest::collection::vec(any_float(), 0..60),
        near in proptest::collection::vec(-1000.0..1000.0f64, 0..1500),
        small in proptest::collection::vec(-1000.0..1000.0f32, 0..60),
        whole in proptest::collection::vec(any::<i32>(), 0..60),
    ) {
        let small: Vec<f64> = small.into_iter().map(f64::from).collect();
        let whole: Vec<f64> = whole.into_iter().map(f64::from).collect();
        for v in [&v, &near, &small, &whole] {
            let (mut all, mut all_squares) = (ExactSum::default(), ExactSum::default());
            all.add_all(v);
            all_squares.add_squares(v);
            prop_assert_eq!(all.round().to_bits(), sum(v).round().to_bits());
            // Not only rounded: nothing is left when the same is taken away.
            v.iter().for_each(|&x| all.add(-x));
            prop_assert_eq!(all.round().to_bits(), 0);
            let n = v.len() as u64;
            let (a, b) = (variance(n, &sum(v), &all_squares), variance(n, &sum(v), &squares(v)));
            prop_assert_eq!(a.to_bits(), b.to_bits());
            prop_assert_eq!(all_squares.round().to_bits(), squares(v).round().to_bits());
        }
    }

    #[test]
    fn adding_and_taking_away_leaves_zero(v in proptest::collection::vec(any_float(), 0..40)) {
        let mut s = sum(&v);
        v.iter().rev().for_each(|&x| s.add(-x));
        prop_assert_eq!(s.round().to_bits(), 0);
    }

    #[test]
    fn two_terms_round_as_the_processor_does(a in any_float(), b in any_float()) {
        prop_assert_eq!(sum(&[a, b]).round() + 0.0, a + b + 0.0);
        prop_assert_eq!(squares(&[a]).round(), a * a);
        prop_assert_eq!(mean(3, &sum(&[a])), a / 3.0);
    }

    #[test]
    fn integers_agree_with_i128(v in proptest::collection::vec(any::<i64>(), 0..40)) {
        let mut s = ExactSum::default();
        v.iter().for_each(|&x| s.add_i128(i128::from(x)));
        let exact: i128 = v.iter().map(|&x| i128::from(x)).sum();
        prop_assert_eq!(s.round(), exact as f64);
    }
}
