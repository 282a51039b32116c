package listen

// Reserve is for the tests of the limit.
const Reserve = reserve
