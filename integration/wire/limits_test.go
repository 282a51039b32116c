package wire_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestHeadersAreBoundedInBytesAndInNumber: bytes are net/http's to count, at
// limits.headerBytes and 4 KiB more; the number is authgate's, since thousands
// of tiny headers fit into few bytes.
func TestHeadersAreBoundedInBytesAndInNumber(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	g.table("limits", []row{
		{"a value of 60 KiB", get("/a", "X-A: "+strings.Repeat("a", 60<<10)), 200},
		{"a value of 72 KiB", get("/a", "X-A: "+strings.Repeat("a", 72<<10)), 431},
		{"a value of 1 MiB", get("/a", "X-A: "+strings.Repeat("a", 1<<20)), 431},
		{"a target of 60 KiB", get("/" + strings.Repeat("a", 60<<10)), 200},
		{"a target of 72 KiB", get("/" + strings.Repeat("a", 72<<10)), 431},
		{"a method of 72 KiB", request(strings.Repeat("A", 72<<10), "/a", ""), 431},
		{"a method of 33 letters", request(strings.Repeat("A", 33), "/a", ""), 405},
		{"190 headers", get("/a", strings.Repeat("X-A: 1\r\n", 189)+"X-A: 1"), 200},
		{"250 headers under one name", get("/a", strings.Repeat("a:\r\n", 249)+"a:"), 431},
		{"17,000 headers in 64 KiB", get("/a", strings.Repeat("a:\r\n", 16_999)+"a:"), 431},
		{"3,001 cookies in one line", get("/a", "Cookie: "+strings.Repeat("a=1; ", 3_000)+"a=1"), 200},
	})
}

func TestHTTP2HeadersAreBoundedInBytesAndInNumber(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	many := func(n int) []field {
		list := plain("/a")
		for range n {
			list = append(list, field{"a", ""})
		}
		return list
	}
	for _, row := range []struct {
		name   string
		fields []field
		want   []string // either
	}{
		{"a value of 60,000 bytes", plain("/a", field{"x-a", strings.Repeat("\xff", 60_000)}), []string{"200 ok"}},
		{"a value of 65,700 bytes", plain("/a", field{"x-a", strings.Repeat("\xff", 65_700)}), []string{"431"}},
		{"a value of 66,000 bytes", plain("/a", field{"x-a", strings.Repeat("\xff", 66_000)}), []string{"GOAWAY"}},
		{"a value of 1 MiB", plain("/a", field{"x-a", strings.Repeat("\xff", 1<<20)}), []string{"GOAWAY", " closed"}},
		{"190 fields", many(190), []string{"200 ok"}},
		{"250 fields", many(250), []string{"431"}},
		{"1,900 fields", many(1_900), []string{"431"}},
	} {
		f := g.speakFrames(t)
		f.sendBlock(1, f.fields(row.fields...))
		got := f.answer(1)
		f.Close() // read to its end
		ok := false
		for _, want := range row.want {
			ok = ok || strings.HasPrefix(got, want)
		}
		if !ok {
			t.Errorf("%s: %s, want %q", row.name, got, row.want)
		}
	}
}

// sendBlock sends a header block of any length, in frames of 16 KiB.
func (f *frames) sendBlock(stream uint32, block []byte) {
	f.t.Helper()
	const most = 16 << 10
	n := min(len(block), most)
	// The reader finds errors.
	_ = f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block[:n], EndHeaders: n == len(block), EndStream: true,
	})
	for block = block[n:]; len(block) > 0; block = block[n:] {
		n = min(len(block), most)
		if f.WriteContinuation(stream, n == len(block), block[:n]) != nil {
			return
		}
	}
}

// TestThousandsOfCookiesHideNone: net/http finds no cookie at all beyond 3,000.
func TestThousandsOfCookiesHideNone(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, probed(sayFine))
	g := newGate(t, u, nil)
	session := g.signIn()
	crowd := strings.Repeat("a=1; ", 1_500)
	a := g.ask(get("/crowd", "Cookie: "+crowd+session+"; "+crowd+"a=1", "Connection: close"))
	if a.status != 200 {
		t.Fatalf("answered with %s", a)
	}
	seen := u.at(t, "/crowd")
	if strings.Contains(seen.head, "authgate=") {
		t.Error("the session cookie reached the upstream")
	}
	if got := strings.Count(seen.head, "a=1"); got != 3_001 {
		t.Errorf("%d of 3001 other cookies reached the upstream", got)
	}
	if a := g.ask(get("/oauth2/userinfo", "Cookie: "+crowd+session+"; "+crowd+"a=1", "Connection: close")); a.status != 200 {
		t.Errorf("no session is found among 3,002 cookies: %s", a)
	}
}

// TestSilentConnectionsAreClosed: a client that sends nothing, or stops in the middle,
// holds a connection for readHeader (1 s here) or idle (2 s), and not longer.
func TestSilentConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	begun := time.Now()
	held := map[string]net.Conn{}
	for name, sent := range map[string]string{
		"nothing":                     "",
		"half a request line":         "GET /a HT",
		"half a header":               "GET /a HTTP/1.1\r\nHost: raw.ex",
		"a whole request, then idle":  get("/a"),
		"a whole request, half a 2nd": get("/a") + "GET /b HTTP/1.1\r\nHo",
		"half of the h2 preface":      http2.ClientPreface[:10],
		"the h2 preface alone":        http2.ClientPreface,
		"h2 HEADERS without an end":   http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82",
		"half an h2 frame":            http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x20\x01",
	} {
		held[name] = dial(t, g.address)
		if _, err := io.WriteString(held[name], sent); err != nil {
			t.Fatal(err)
		}
	}
	if a := g.ask(get("/a", "Connection: close")); a.status != 200 {
		t.Errorf("another client is answered with %s", a)
	}
	for name, conn := range held {
		if err := ends(conn, begun.Add(6*time.Second)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(begun); took < 1900*time.Millisecond {
		t.Errorf("all of them were closed after %s", took)
	}
}

// TestSlowHeadersAreNoWayToStay: each byte that comes must not restart the timeout.
func TestSlowHeadersAreNoWayToStay(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	conn := dial(t, g.address)
	begun := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	text := get("/a", "X-A: "+strings.Repeat("a", 200))
	for i := range text {
		<-tick.C
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			break
		}
		if time.Since(begun) > 8*time.Second {
			t.Fatal("the connection is open after 8 s")
		}
	}
	if took := time.Since(begun); took < 900*time.Millisecond {
		t.Errorf("closed after %s", took)
	}
}
