/// Numbers that look random and are the same every time (Marsaglia 2003, xorshift).
pub struct Dice(pub u64);

impl Dice {
    /// One of the numbers below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
