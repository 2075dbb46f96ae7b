package licence

// Printed is the table of the policies' own numbers, for the test that reads them there.
var Printed = printed

// PrintedIn is a clause's number under a licence.
var PrintedIn = clauseIn
