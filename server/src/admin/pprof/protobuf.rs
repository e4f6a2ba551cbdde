//! Protobuf's wire format, as far as a profile needs it.

/// A message that grows field by field.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A field that is a number. None and zero are the same.
    pub fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3);
            self.varint(value);
        }
    }

    /// A field that is a list of numbers.
    pub fn numbers(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.message(field, packed);
    }

    /// A field that is a text. One that comes several times is a list.
    pub fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A field that is a message.
    pub fn message(&mut self, field: u64, message: Self) {
        self.bytes(field, &message.0);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of protobuf's own description of its encoding.
    #[test]
    fn fields_are_written_as_protobuf_describes_them() {
        let mut inner = Message::default();
        inner.number(1, 150);
        assert_eq!(inner.0, [0x08, 0x96, 0x01]);
        let mut outer = Message::default();
        outer.number(9, 0);
        outer.text(2, "testing");
        outer.message(3, inner);
        outer.numbers(6, [3, 270, 86_942]);
        let expected = b"\x12\x07testing\x1a\x03\x08\x96\x01\x32\x06\x03\x8e\x02\x9e\xa7\x05";
        assert_eq!(outer.into_bytes(), expected);
    }
}
