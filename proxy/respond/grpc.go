package respond

import (
	"net/http"
	"strconv"
	"strings"
)

// IsGRPC reports whether a request is gRPC over HTTP/2, with any codec.
func IsGRPC(r *http.Request) bool { return isMedia(r, "application/grpc") }

// IsGRPCWeb reports whether a request is gRPC-web: plain HTTP, but the trailers of its
// response are in the body.
func IsGRPCWeb(r *http.Request) bool {
	return isMedia(r, "application/grpc-web") || isMedia(r, "application/grpc-web-text")
}

// isMedia compares the content type, with or without a suffix after a plus, and without case
// (RFC 9110, 8.3.1).
func isMedia(r *http.Request, media string) bool {
	values := r.Header["Content-Type"]
	if len(values) == 0 {
		return false
	}
	value, end := values[0], len(media)
	if len(value) < end || !strings.EqualFold(value[:end], media) {
		return false
	}
	return len(value) == end || strings.IndexByte("+; \t", value[end]) >= 0
}

// WriteGRPC writes a trailers-only response (gRPC over HTTP/2, Responses; also in gRPC-web):
// HTTP 200 with the status in the header block and no body. Clients do not understand other
// statuses.
func WriteGRPC(w http.ResponseWriter, r *http.Request, f *Refusal) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	if IsGRPCWeb(r) {
		h.Set("Content-Type", grpcWebType(r))
		h.Set("Access-Control-Expose-Headers", "Grpc-Status, Grpc-Message") // or scripts of allowed origins see none
	}
	SetGRPCStatus(h, f)
	w.WriteHeader(http.StatusOK)
}

// SetGRPCStatus sets in a header block or in trailers how a call ended.
func SetGRPCStatus(h http.Header, f *Refusal) {
	h["Grpc-Status"] = []string{strconv.Itoa(grpcStatus(f.Status))}
	h["Grpc-Message"] = []string{EncodeHeaderValue(f.Detail)}
}

// grpcWebType is the content type of the request, in which gRPC-web answers.
func grpcWebType(r *http.Request) string {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); media {
	case "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto":
		return media
	default:
		return "application/grpc-web"
	}
}

// grpcStatus is the status that gRPC's own clients derive from an HTTP status ("HTTP to gRPC
// Status Code Mapping"), except where gRPC has a better one: by that mapping 429 would be
// unavailable, and 405, 413, 421 and 431 unknown.
func grpcStatus(status int) int {
	switch status {
	case http.StatusBadRequest:
		return 13 // internal
	case http.StatusUnauthorized:
		return 16 // unauthenticated
	case http.StatusForbidden:
		return 7 // permission denied
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest:
		return 12 // unimplemented: nothing is there
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return 8 // resource exhausted: a limit, at which an immediate retry fails again
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 14 // unavailable
	default:
		return 2 // unknown
	}
}

// EncodeHeaderValue percent-encodes what is not plain ASCII, and the comma and percent sign,
// so that no name can make two groups or two headers.
func EncodeHeaderValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ',' || c == '%' {
			if b == nil {
				b = append(make([]byte, 0, len(s)+8), s[:i]...)
			}
			b = append(b, '%', hex[c>>4], hex[c&15])
			continue
		}
		if b != nil {
			b = append(b, c)
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}
