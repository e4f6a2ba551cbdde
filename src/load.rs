//! The unit of bounds: messages and bytes.

/// An amount of messages and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub messages: u32,
    pub bytes: u32,
}

impl Load {
    /// One word: the messages below, the bytes above.
    #[inline]
    pub fn pack(self) -> u64 {
        u64::from(self.bytes) << 32 | u64::from(self.messages)
    }

    #[inline]
    pub fn unpack(word: u64) -> Self {
        Self { messages: word as u32, bytes: (word >> 32) as u32 }
    }

    /// This `count` times, saturated: so much fits nowhere.
    pub fn times(self, count: u32) -> Self {
        Self {
            messages: self.messages.saturating_mul(count),
            bytes: self.bytes.saturating_mul(count),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        Self {
            messages: self.messages.wrapping_sub(other.messages),
            bytes: self.bytes.wrapping_sub(other.bytes),
        }
    }

    /// Whether `more` on top of this stays within `bounds`. No sum of two loads below 2^31
    /// overflows.
    pub fn leaves_room_for(self, more: Self, bounds: Self) -> bool {
        self.messages <= bounds.messages
            && self.bytes <= bounds.bytes
            && bounds.messages - self.messages >= more.messages
            && bounds.bytes - self.bytes >= more.bytes
    }
}
