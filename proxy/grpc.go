package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// isGRPC reports whether a request is gRPC over HTTP/2, whatever its codec.
func isGRPC(r *http.Request) bool { return isMedia(r, "application/grpc") }

// isGRPCWeb reports whether it is gRPC-web: an HTTP request like any other but
// for its answer, whose trailers are in the body.
func isGRPCWeb(r *http.Request) bool {
	return isMedia(r, "application/grpc-web") || isMedia(r, "application/grpc-web-text")
}

// isMedia compares the content type, with or without a suffix behind a plus. Case
// makes no difference (RFC 9110, 8.3.1).
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

// writeGRPCRefusal is a trailers-only response (gRPC over HTTP/2, Responses; gRPC-web
// has the same): HTTP 200 with the status in the header block and no body.
// Clients make nothing of other statuses.
func writeGRPCRefusal(w http.ResponseWriter, r *http.Request, f *Refusal) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	if isGRPCWeb(r) {
		h.Set("Content-Type", grpcWebType(r))
		h.Set("Access-Control-Expose-Headers", "Grpc-Status, Grpc-Message") // or scripts of allowed origins see none
	}
	setGRPCStatus(h, f)
	w.WriteHeader(http.StatusOK)
}

// setGRPCStatus says in a header block or in trailers how a call ended.
func setGRPCStatus(h http.Header, f *Refusal) {
	h["Grpc-Status"] = []string{strconv.Itoa(grpcStatus(f.Status))}
	h["Grpc-Message"] = []string{encodeHeaderValue(f.Detail)}
}

// grpcWebType is the content type that was asked in, which gRPC-web answers in.
func grpcWebType(r *http.Request) string {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); media {
	case "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto":
		return media
	default:
		return "application/grpc-web"
	}
}

// grpcStatus is what gRPC's own clients make of an HTTP status ("HTTP to gRPC
// Status Code Mapping"), but where gRPC has a better word: for them 429 would be
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
		return 8 // resource exhausted: a limit, which trying again at once does not mend
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 14 // unavailable
	default:
		return 2 // unknown
	}
}
