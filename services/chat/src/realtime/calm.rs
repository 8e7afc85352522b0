//! A connection whose first ping is answered on the spot.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The ping of Engine.IO as a server's WebSocket frame (RFC 6455, section 5.2): final, text, one byte.
const PING: [u8; 3] = [0x81, 0x01, b'2'];
/// The pong as a client's frame: masked, as clients must, with a mask of zeros.
const PONG: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'3'];

/// A server's end of a WebSocket that keeps the first ping back and answers it itself.
///
/// Until then nothing is read from the client, so that the answer stands between two of its frames. The library pings as soon as it has opened
/// the session, so that is no wait.
#[derive(Debug)]
pub struct Calm<I> {
    connection: I,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The ping has not come yet.
    Waiting {
        /// So many bytes of a frame are still to be written.
        left: usize,
        /// Who wants to read.
        reader: Option<Waker>,
    },
    /// The ping was kept back; so many bytes of the answer have been read.
    Answering(usize),
    /// Everything passes.
    Through,
}

impl<I> Calm<I> {
    /// Around a connection on which no frame has been sent.
    pub fn new(connection: I) -> Self {
        Self { connection, state: State::Waiting { left: 0, reader: None } }
    }

    fn go_on(&mut self, state: State) {
        if let State::Waiting { reader: Some(reader), .. } = std::mem::replace(&mut self.state, state) {
            reader.wake();
        }
    }
}

/// How long the frame is that begins here; none if that cannot be told yet.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (header, length) = match bytes.get(1)? & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    usize::try_from(length).ok()?.checked_add(header)
}

impl<I: AsyncRead + Unpin> AsyncRead for Calm<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Waiting { reader, .. } => {
                *reader = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Answering(read) => {
                let rest = &PONG[*read..];
                let count = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..count]);
                *read += count;
                if *read == PONG.len() {
                    self.state = State::Through;
                }
                Poll::Ready(Ok(()))
            }
            State::Through => Pin::new(&mut self.connection).poll_read(cx, buffer),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Calm<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let State::Waiting { left, .. } = self.state else {
            return Pin::new(&mut self.connection).poll_write(cx, bytes);
        };
        if left == 0 && bytes.starts_with(&PING) {
            self.go_on(State::Answering(0));
            return Poll::Ready(Ok(PING.len()));
        }
        let length = if left == 0 { frame_length(bytes) } else { Some(left) };
        let Some(length) = length else {
            // Nobody writes a frame in pieces that small; whoever does is not hindered.
            self.go_on(State::Through);
            return Pin::new(&mut self.connection).poll_write(cx, bytes);
        };
        let written = Pin::new(&mut self.connection).poll_write(cx, &bytes[..length.min(bytes.len())]);
        if let (Poll::Ready(Ok(count)), State::Waiting { left, .. }) = (&written, &mut self.state) {
            *left = length.saturating_sub(*count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// A server's text frame.
    fn frame(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81];
        match text.len() {
            length @ ..126 => frame.push(u8::try_from(length).unwrap()),
            length => {
                frame.push(126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend(text.as_bytes());
        frame
    }

    #[tokio::test]
    async fn the_first_ping_is_answered_and_not_passed_on_and_the_second_is() {
        // A connection that takes a few bytes at a time.
        let (server, mut client) = duplex(5);
        let (mut reading, mut writing) = tokio::io::split(Calm::new(server));
        client.write_all(b"hello").await.unwrap();
        let open = frame(&format!("0{{\"sid\":\"{}\"}}", "2".repeat(200)));
        let sent = [open.clone(), frame("2"), frame("4x"), frame("2")].concat();
        let writer = tokio::spawn(async move {
            writing.write_all(&sent).await.unwrap();
            writing.shutdown().await.unwrap();
            writing
        });
        let mut seen = Vec::new();
        client.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, [open, frame("4x"), frame("2")].concat());
        writer.await.unwrap();
        let mut read = [0; PONG.len() + 5];
        reading.read_exact(&mut read).await.unwrap();
        assert_eq!(read, *[PONG.as_slice(), b"hello"].concat());
    }

    #[tokio::test]
    async fn nothing_is_read_before_the_ping_and_its_answer_comes_first() {
        let (server, mut client) = duplex(1024);
        let (mut reading, mut writing) = tokio::io::split(Calm::new(server));
        client.write_all(b"early").await.unwrap();
        let reader = tokio::spawn(async move {
            let mut read = [0; PONG.len() + 5];
            reading.read_exact(&mut read).await.unwrap();
            read
        });
        writing.write_all(&frame("0{}")).await.unwrap();
        writing.write_all(&frame("2")).await.unwrap();
        assert_eq!(reader.await.unwrap(), *[PONG.as_slice(), b"early"].concat());
    }

    #[test]
    fn frames_are_as_long_as_their_headers_say() {
        assert_eq!(frame_length(&frame("2")), Some(3));
        assert_eq!(frame_length(&frame(&"x".repeat(125))), Some(127));
        assert_eq!(frame_length(&frame(&"x".repeat(126))), Some(130));
        assert_eq!(frame_length(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Some(65_546));
        for short in [&[][..], &[0x81], &[0x81, 126, 0], &[0x81, 127, 0, 0]] {
            assert_eq!(frame_length(short), None);
        }
    }
}
