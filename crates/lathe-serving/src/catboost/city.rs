//! CityHash64 of version 1.0 (Pike and Alakuijala, 2011), with which CatBoost names categories. Later versions of the
//! hash give other numbers.

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K3: u64 = 0xc949_d7c7_509e_6557;
const MIX: u64 = 0x9ddf_ea08_eb38_2d69;

/// The hash of a text.
pub(super) fn hash(text: &[u8]) -> u64 {
    match text.len() {
        0..=16 => short(text),
        17..=32 => medium(text),
        33..=64 => long(text),
        _ => any(text),
    }
}

fn word(text: &[u8], at: usize) -> u64 {
    text[at..at + 8]
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn half(text: &[u8], at: usize) -> u64 {
    text[at..at + 4]
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn fold(value: u64) -> u64 {
    value ^ (value >> 47)
}

fn pair(low: u64, high: u64) -> u64 {
    let a = fold((low ^ high).wrapping_mul(MIX));
    let b = fold((high ^ a).wrapping_mul(MIX));
    b.wrapping_mul(MIX)
}

fn short(text: &[u8]) -> u64 {
    let length = text.len();
    let size = length as u64;
    match length {
        0 => K2,
        1..=3 => {
            let (first, middle, last) = (text[0], text[length / 2], text[length - 1]);
            let y = u64::from(first) + (u64::from(middle) << 8);
            let z = size + (u64::from(last) << 2);
            fold(y.wrapping_mul(K2) ^ z.wrapping_mul(K3)).wrapping_mul(K2)
        }
        4..=8 => pair(size.wrapping_add(half(text, 0) << 3), half(text, length - 4)),
        _ => {
            let last = word(text, length - 8);
            pair(word(text, 0), last.wrapping_add(size).rotate_right(length as u32)) ^ last
        }
    }
}

fn medium(text: &[u8]) -> u64 {
    let length = text.len();
    let a = word(text, 0).wrapping_mul(K1);
    let b = word(text, 8);
    let c = word(text, length - 8).wrapping_mul(K2);
    let d = word(text, length - 16).wrapping_mul(K0);
    pair(
        a.wrapping_sub(b)
            .rotate_right(43)
            .wrapping_add(c.rotate_right(30))
            .wrapping_add(d),
        a.wrapping_add((b ^ K3).rotate_right(20))
            .wrapping_sub(c)
            .wrapping_add(length as u64),
    )
}

/// The sums over 32 bytes, from a beginning: what the long forms are made of.
fn half_long(text: &[u8], mut a: u64, mut z: u64, end: usize) -> (u64, u64) {
    let mut b = a.wrapping_add(z).rotate_right(52);
    let mut c = a.rotate_right(37);
    a = a.wrapping_add(word(text, end + 8));
    c = c.wrapping_add(a.rotate_right(7));
    a = a.wrapping_add(word(text, end + 16));
    z = z.wrapping_add(a);
    b = b.wrapping_add(a.rotate_right(31)).wrapping_add(c);
    (z, b)
}

fn long(text: &[u8]) -> u64 {
    let length = text.len();
    let ends = (length as u64).wrapping_add(word(text, length - 16));
    let start = word(text, 0).wrapping_add(ends.wrapping_mul(K0));
    let (front, front_sum) = half_long(text, start, word(text, 24), 0);
    let start = word(text, 16).wrapping_add(word(text, length - 32));
    let (back, back_sum) = half_long(text, start, word(text, length - 8), length - 32);
    let mixed = front
        .wrapping_add(back_sum)
        .wrapping_mul(K2)
        .wrapping_add(back.wrapping_add(front_sum).wrapping_mul(K0));
    fold(fold(mixed).wrapping_mul(K0).wrapping_add(front_sum)).wrapping_mul(K2)
}

/// 16 bytes of hash of 32 bytes.
fn weak(text: &[u8], at: usize, a: u64, b: u64) -> (u64, u64) {
    let a = a.wrapping_add(word(text, at));
    let last = word(text, at + 24);
    let b = b.wrapping_add(a).wrapping_add(last).rotate_right(21);
    let first = a;
    let a = a
        .wrapping_add(word(text, at + 8))
        .wrapping_add(word(text, at + 16));
    let b = b.wrapping_add(a.rotate_right(44));
    (a.wrapping_add(last), b.wrapping_add(first))
}

fn any(text: &[u8]) -> u64 {
    let length = text.len();
    let size = length as u64;
    let mut x = word(text, 0);
    let mut y = word(text, length - 16) ^ K1;
    let mut z = word(text, length - 56) ^ K0;
    let mut v = weak(text, length - 64, size, y);
    let mut w = weak(text, length - 32, size.wrapping_mul(K1), K0);
    z = z.wrapping_add(fold(v.1).wrapping_mul(K1));
    x = z.wrapping_add(x).rotate_right(39).wrapping_mul(K1);
    y = y.rotate_right(33).wrapping_mul(K1);
    for at in (0..(length - 1) / 64).map(|block| block * 64) {
        x = x
            .wrapping_add(y)
            .wrapping_add(v.0)
            .wrapping_add(word(text, at + 16))
            .rotate_right(37)
            .wrapping_mul(K1);
        y = y
            .wrapping_add(v.1)
            .wrapping_add(word(text, at + 48))
            .rotate_right(42)
            .wrapping_mul(K1);
        x ^= w.1;
        y ^= v.0;
        z = (z ^ w.0).rotate_right(33);
        v = weak(text, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = weak(text, at + 32, z.wrapping_add(w.1), y);
        std::mem::swap(&mut z, &mut x);
    }
    pair(
        pair(v.0, w.0)
            .wrapping_add(fold(y).wrapping_mul(K1))
            .wrapping_add(z),
        pair(v.1, w.1).wrapping_add(x),
    )
}
