package client

// maxRequestID is the length of the longest id that a client may choose.
const maxRequestID = 128

// RequestID is the id of a request in logs, here and upstream: the one that the client sent if
// that is a single clean word, else authgate's own id. Every record keeps the two apart,
// because a client can choose the former.
func RequestID(sent []string, own string) string {
	if len(sent) != 1 || len(sent[0]) == 0 || len(sent[0]) > maxRequestID {
		return own
	}
	for i := range len(sent[0]) {
		if !inRequestID(sent[0][i]) {
			return own
		}
	}
	return sent[0]
}

func inRequestID(c byte) bool {
	switch c {
	case '.', '_', '~', ':', '/', '+', '=', '@', '-':
		return true
	}
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
