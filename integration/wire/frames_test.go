package wire_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is an HTTP/2 connection on which a test writes every frame itself.
type frames struct {
	*http2.Framer
	net.Conn
	t       *testing.T
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// field is one line of a header block, pseudo or not.
type field [2]string

// speakFrames opens a connection with prior knowledge, up to the server's settings.
func (g *gate) speakFrames(t *testing.T) *frames {
	t.Helper()
	f := &frames{Conn: dial(t, g.address), t: t}
	f.encoder = hpack.NewEncoder(&f.block)
	f.Framer = http2.NewFramer(f.Conn, f.Conn)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(f.Conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// fields encodes a header block.
func (f *frames) fields(list ...field) []byte {
	f.t.Helper()
	f.block.Reset()
	for _, one := range list {
		if err := f.encoder.WriteField(hpack.HeaderField{Name: one[0], Value: one[1]}); err != nil {
			f.t.Fatal(err)
		}
	}
	return bytes.Clone(f.block.Bytes())
}

// request opens a stream. An error is left for the reader to find: authgate may
// have closed the connection.
func (f *frames) request(stream uint32, end bool, list ...field) {
	f.t.Helper()
	_ = f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: f.fields(list...), EndHeaders: true, EndStream: end,
	})
}

// answer reads until the stream ends, in whatever way.
func (f *frames) answer(stream uint32) string {
	f.t.Helper()
	var status, body string
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return status + " closed"
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck() // the reader finds errors
			}
		case *http2.GoAwayFrame:
			return strings.TrimSpace(status + " GOAWAY " + frame.ErrCode.String())
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return strings.TrimSpace(status + " RST_STREAM " + frame.ErrCode.String())
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream && status == "" {
				status = frame.PseudoValue("status")
			}
		case *http2.DataFrame:
			if frame.StreamID == stream {
				body += string(frame.Data())
			}
		}
		if h := frame.Header(); h.StreamID == stream && h.Flags.Has(http2.FlagDataEndStream) &&
			(h.Type == http2.FrameData || h.Type == http2.FrameHeaders) {
			a := answer{header: map[string][]string{"Content-Type": {"application/problem+json"}}, body: body}
			if code := a.code(); code != "" {
				body = code
			}
			return strings.TrimSpace(status + " " + body)
		}
	}
}

// plain is a request as any client makes it.
func plain(path string, more ...field) []field {
	return append([]field{{":method", "GET"}, {":scheme", "http"}, {":authority", "raw.example"}, {":path", path}}, more...)
}
