package http1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strings"
)

// readHead returns a header with the empty line that ends it. The bytes are valid until the next
// read. Every line is checked as it arrives, so that what is not HTTP is not waited for.
func (c *conn) readHead(limit int) ([]byte, error) {
	complete := 0 // bytes of complete lines
	for {
		b := c.buffered()
		for {
			i := bytes.IndexByte(b[complete:], '\n')
			if i < 0 {
				break
			}
			line := b[complete : complete+i+1]
			if len(line) < 2 || line[len(line)-2] != '\r' {
				return nil, errBareLF
			}
			if complete == 0 && !isStatusLine(line[:len(line)-2]) {
				return nil, errStatusLine
			}
			complete += i + 1
			if complete > limit {
				return nil, errHeaderTooLong
			}
			if len(line) == 2 {
				c.start += complete
				return b[:complete], nil
			}
		}
		if !mayBeHTTP(b) {
			return nil, errNotHTTP
		}
		if len(b) > limit {
			return nil, errHeaderTooLong
		}
		if err := c.fill(); err != nil {
			if len(b) > 0 {
				err = unexpected(err)
			}
			return nil, err
		}
	}
}

const protocol = "HTTP/"

func mayBeHTTP(b []byte) bool {
	n := min(len(b), len(protocol))
	return string(b[:n]) == protocol[:n]
}

// isStatusLine checks a line without its end: version, three digits, and a reason if any.
func isStatusLine(line []byte) bool {
	const pattern = "HTTP/1.1 200" // each digit stands for any, and 0 is none at the first two places
	if len(line) < len(pattern) || !mayBeHTTP(line) {
		return false
	}
	for i := len(protocol); i < len(pattern); i++ {
		isDigit := line[i] >= '0' && line[i] <= '9'
		if wantDigit := pattern[i] >= '0'; isDigit != wantDigit || !isDigit && line[i] != pattern[i] {
			return false
		}
	}
	end := line[len(pattern):]
	return line[len("HTTP/")] != '0' && line[len("HTTP/1.1 ")] != '0' &&
		(len(end) == 0 || end[0] == ' ') && !hasControl(end)
}

// parseHead reads a complete header into a response. All strings are parts of head.
func parseHead(r *http.Response, head string) error {
	line, rest, _ := strings.Cut(head, "\r\n")
	r.Proto, r.Status = line[:len("HTTP/1.1")], strings.TrimLeft(line[len("HTTP/1.1 "):], " ")
	r.ProtoMajor, r.ProtoMinor = int(r.Proto[len("HTTP/")]-'0'), int(r.Proto[len("HTTP/1.")]-'0')
	r.StatusCode = int(r.Status[0]-'0')*100 + int(r.Status[1]-'0')*10 + int(r.Status[2]-'0')
	var err error
	r.Header, err = parseFields(rest)
	if pragma := r.Header["Pragma"]; err == nil && len(pragma) > 0 && pragma[0] == "no-cache" {
		if _, ok := r.Header["Cache-Control"]; !ok { // as net/http does for servers of HTTP/1.0
			r.Header["Cache-Control"] = []string{"no-cache"}
		}
	}
	return err
}

// parseFields reads the lines of a header or trailer, with the empty line after them.
func parseFields(lines string) (http.Header, error) {
	n := strings.Count(lines, "\n") - 1
	h := make(http.Header, n)
	values := make([]string, 0, n) // one allocation for all of them
	for {
		end := strings.IndexByte(lines, '\r')
		if end == 0 && len(lines) == 2 {
			return h, nil
		}
		if end < 0 || end+1 >= len(lines) || lines[end+1] != '\n' {
			return nil, errHeaderLine // a CR within a line
		}
		name, value, err := parseField(lines[:end])
		if err != nil {
			return nil, err
		}
		lines = lines[end+2:]
		if name == "" {
			continue
		}
		values = append(values, value)
		if earlier, ok := h[name]; ok {
			h[name] = append(earlier, value)
		} else {
			h[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
}

// parseField reads one line. A name with spaces is no name: nothing would forward it, and a
// reader that ignores the spaces must not find framing in it.
func parseField(line string) (name, value string, err error) {
	if line != "" && (line[0] == ' ' || line[0] == '\t') {
		return "", "", errFoldedLine
	}
	colon := strings.IndexByte(line, ':')
	if colon <= 0 {
		return "", "", errHeaderLine
	}
	name, value = line[:colon], trimSpace(line[colon+1:])
	if hasControl([]byte(value)) {
		return "", "", errHeaderLine
	}
	if !isToken(name) {
		bare := strings.ReplaceAll(name, " ", "")
		if !isToken(bare) || isFraming(bare) {
			return "", "", errHeaderLine
		}
		return "", "", nil
	}
	return textproto.CanonicalMIMEHeaderKey(name), value, nil
}
