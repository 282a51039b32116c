package proxy

// What is fuzzed by itself.
var (
	IsSpoofable       = isSpoofable
	IsPlainHeaderName = isPlainHeaderName
	HasParameter      = hasParameter
)
