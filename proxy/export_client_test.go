package proxy

// What is fuzzed by itself.
var (
	IsSpoofable       = isSpoofable
	IsPlainHeaderName = isPlainHeaderName
	HasParameter      = hasParameter
)

// SafeReturnPath reads rd under a path prefix.
func SafeReturnPath(prefix, rd string) string { return (&Proxy{prefix: prefix}).safeReturnPath(rd) }
