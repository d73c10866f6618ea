// Quotas: at most N requests of a client in any window.
//
// A client has N slots in a dictionary that the workers share. An admitted request takes one, which is free again when
// the window is over; `add` is atomic and knows about expiry. A refused request takes nothing, so a client that keeps
// trying is admitted as soon as its oldest request has left the window.
//
// Slots are taken in turn, so the next one is the first to be free again, and looking at it is enough. Workers that
// admit at the same time are a few slots ahead of the turn that one of them has read: hence the walk.

const WALK = 64;

// Empty, or the seconds after which the next request will be admitted.
function wait(r) {
    const quota = r.variables.stackctl_quota.split(' ');
    const taken = ngx.shared[quota[0]];
    const slots = Number(quota[1]);
    const span = Number(quota[2]);
    // The end of a long key: tokens begin alike, and end with a signature.
    const client = r.rawVariables[quota[3]].toString('hex').slice(-256);
    const now = Date.now();
    try {
        const turns = 'turn ' + client;
        taken.add(turns, 0);
        const turn = taken.get(turns) || 0;
        let oldest = now;
        for (let i = 0; i < Math.min(slots, WALK); i++) {
            const slot = (turn + i) % slots + ' ' + client;
            if (taken.add(slot, now)) {
                taken.incr(turns, 1);
                return '';
            }
            oldest = Math.min(oldest, taken.get(slot) || now - span);
        }
        return String(Math.max(1, Math.ceil((oldest + span - now) / 1000)));
    } catch (error) {
        // A front door that cannot count lets people in.
        r.error('quota: ' + error.message);
        return '';
    }
}

export default { wait };
