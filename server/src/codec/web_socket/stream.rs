//! A stream of bytes in the frames of a WebSocket. Where a message ends means nothing, so none is
//! gathered, however long it is.

use super::{CONTROL_BYTES, CloseCode, CloseFrame, append_header, closing};
use crate::limits::WEB_SOCKET_ANSWER_BYTES;
// why: a cursor over bytes in memory, as a library wants them
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Takes the bytes of a client out of its frames.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    /// The frame that is being read.
    frame: Option<OpenFrame>,
    /// Whether the last data frame said that more of its message follows.
    is_within_message: bool,
}

#[derive(Debug)]
struct OpenFrame {
    left_bytes: u64,
    mask: [u8; 4],
    /// The byte of the mask that is next.
    at: usize,
    control: Option<Control>,
}

impl StreamDecoder {
    /// Takes as many frames off the front of `input` as there are, moves their data to `into` and
    /// appends answers to pings to `answers`. Gives how much was moved; it is less than fits only
    /// if more input is needed.
    ///
    /// # Errors
    /// The peer closes or broke the rules. The frame is the answer, and nothing more is to be read.
    pub fn decode(
        &mut self,
        input: &mut &[u8],
        into: &mut [u8],
        answers: &mut Vec<u8>,
    ) -> Result<usize, CloseFrame> {
        let mut moved = 0;
        loop {
            let Some(frame) = &mut self.frame else {
                match self.begin_frame(input)? {
                    true => continue,
                    false => return Ok(moved),
                }
            };
            if let Some(control) = frame.control {
                let Some(payload) = frame.take_control(input) else { return Ok(moved) };
                self.frame = None;
                answer(control, payload, answers)?;
                continue;
            }
            moved += frame.take_data(input, &mut into[moved..]);
            if frame.left_bytes > 0 {
                return Ok(moved);
            }
            self.frame = None;
        }
    }

    /// Whether a frame's header was complete.
    fn begin_frame(&mut self, input: &mut &[u8]) -> Result<bool, CloseFrame> {
        let mut cursor = Cursor::new(*input);
        let wrong = |problem| closing(CloseCode::Protocol, problem);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| wrong("that is not a frame"))?;
        let Some((header, left_bytes)) = parsed else { return Ok(false) };
        let taken = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        *input = input.get(taken..).unwrap_or_default();
        let mask = header.mask.ok_or_else(|| wrong("a client masks its frames"))?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(wrong("no extension was agreed on"));
        }
        let control = match header.opcode {
            OpCode::Control(control) if header.is_final && left_bytes <= CONTROL_BYTES as u64 => {
                Some(control)
            }
            OpCode::Data(kind) if (kind == Data::Continue) == self.is_within_message => {
                self.is_within_message = !header.is_final;
                None
            }
            _ => return Err(wrong("a frame like that is not sent now")),
        };
        self.frame = Some(OpenFrame { left_bytes, mask, at: 0, control });
        Ok(true)
    }
}

impl OpenFrame {
    fn take_data(&mut self, input: &mut &[u8], into: &mut [u8]) -> usize {
        let left = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
        let (taken, rest) = input.split_at(left.min(input.len()).min(into.len()));
        *input = rest;
        for (byte, masked) in into.iter_mut().zip(taken) {
            *byte = masked ^ self.mask[self.at];
            self.at = (self.at + 1) % 4;
        }
        self.left_bytes -= taken.len() as u64;
        taken.len()
    }

    /// All of it, or nothing yet.
    fn take_control(&mut self, input: &mut &[u8]) -> Option<Vec<u8>> {
        let mut payload = vec![0; usize::try_from(self.left_bytes).ok()?];
        (input.len() >= payload.len()).then(|| {
            self.take_data(input, &mut payload);
            payload
        })
    }
}

fn answer(control: Control, payload: Vec<u8>, answers: &mut Vec<u8>) -> Result<(), CloseFrame> {
    match control {
        // A peer that does not read gets no more answers than that.
        Control::Ping if answers.len() < WEB_SOCKET_ANSWER_BYTES => {
            append_header(answers, OpCode::Control(Control::Pong), payload.len() as u64);
            answers.extend_from_slice(&payload);
            Ok(())
        }
        Control::Ping | Control::Pong => Ok(()),
        // The answer has the same code, by custom.
        Control::Close => {
            let code = payload.first_chunk().map_or(1000, |code| u16::from_be_bytes(*code));
            Err(closing(CloseCode::from(code), ""))
        }
        Control::Reserved(_) => Err(closing(CloseCode::Protocol, "no such frame is known")),
    }
}

/// Appends a frame with these bytes.
pub fn append_binary<'b>(out: &mut Vec<u8>, slices: impl Iterator<Item = &'b [u8]> + Clone) {
    let length: usize = slices.clone().map(<[u8]>::len).sum();
    append_header(out, OpCode::Data(Data::Binary), length as u64);
    slices.for_each(|slice| out.extend_from_slice(slice));
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::web_socket::frame;

    /// The result of these bytes, read at once into enough room.
    fn decoded(bytes: &[u8]) -> (Vec<u8>, Vec<u8>, Option<CloseCode>) {
        let (mut into, mut answers) = (vec![0; bytes.len()], Vec::new());
        let mut input = bytes;
        match StreamDecoder::default().decode(&mut input, &mut into, &mut answers) {
            Ok(moved) => (into[..moved].to_vec(), answers, None),
            Err(frame) => (Vec::new(), answers, Some(frame.code)),
        }
    }

    #[test]
    fn data_is_one_stream_whatever_frames_it_came_in() {
        let long = vec![b'x'; 300];
        let frames = [
            frame(0x82, b"PUB a"),
            frame(0x01, b" 1\r"),
            frame(0x89, b"are you there"),
            frame(0x00, b"\n"),
            frame(0x80, b""),
            frame(0x8a, b""),
            frame(0x82, &long),
        ]
        .concat();
        let stream = [b"PUB a 1\r\n", &long[..]].concat();
        let (data, answers, closed) = decoded(&frames);
        assert_eq!((data, closed), (stream.clone(), None));
        assert_eq!(answers, [&[0x8a, 13], &b"are you there"[..]].concat());
        // In pieces of any size, into little room.
        for step in [1, 2, 3, 7, 100] {
            let mut decoder = StreamDecoder::default();
            let (mut data, mut answers, mut kept) = (Vec::new(), Vec::new(), Vec::new());
            for piece in frames.chunks(step) {
                kept.extend_from_slice(piece);
                let mut input = &kept[..];
                loop {
                    let mut into = [0; 5];
                    let moved = decoder.decode(&mut input, &mut into, &mut answers).unwrap();
                    data.extend_from_slice(&into[..moved]);
                    if moved < into.len() {
                        break;
                    }
                }
                kept = input.to_vec();
            }
            assert_eq!(data, stream, "{step}");
        }
    }

    #[test]
    fn frames_that_break_the_rules_are_refused() {
        let refused = |bytes: &[u8]| decoded(bytes).2;
        assert_eq!(refused(&frame(0x88, &[0x03, 0xe9])), Some(CloseCode::Away));
        assert_eq!(refused(&frame(0x88, b"")), Some(CloseCode::Normal));
        for wrong in [
            vec![0x82, 1, b'x'],
            frame(0xc2, b"x"),
            frame(0x80, b"x"),
            frame(0x09, b"x"),
            frame(0x89, &[0; 126]),
            [frame(0x02, b"x"), frame(0x82, b"y")].concat(),
        ] {
            assert_eq!(refused(&wrong), Some(CloseCode::Protocol), "{wrong:?}");
        }
    }

    #[test]
    fn pings_that_nobody_reads_the_answers_to_are_not_answered_for_ever() {
        let pings = frame(0x89, &[0; 125]).repeat(1_000);
        let answers = decoded(&pings).1;
        assert!((WEB_SOCKET_ANSWER_BYTES..WEB_SOCKET_ANSWER_BYTES + 200).contains(&answers.len()));
    }
}
