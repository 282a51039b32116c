package client

// ForwardedFor is the walk through X-Forwarded-For, for the fuzzer.
var ForwardedFor = (*Reader).forwardedFor
