// With arguments, in pairs: renames the first of each to the second; exits with 0 or the error number of the first that
// fails. Without: reads standard input until there is none. Assembled into holder.rs; a test there compares.
.text
        ldr  x19, [sp]                  // argc
        add  x20, sp, #16               // &argv[1]
        subs x19, x19, #1
        b.le wait
pair:   mov  x0, #-100                  // AT_FDCWD: as seen from here
        ldr  x1, [x20]
        mov  x2, #-100
        ldr  x3, [x20, #8]              // null where the last has no partner: EFAULT
        mov  x8, #38                    // renameat
        svc  #0
        neg  x0, x0
        cbnz x0, exit
        add  x20, x20, #16
        subs x19, x19, #2
        b.gt pair
        b    exit
wait:   sub  sp, sp, #4096
more:   mov  x0, #0                     // standard input
        mov  x1, sp
        mov  x2, #4096
        mov  x8, #63                    // read
        svc  #0
        cmp  x0, #0
        b.gt more
        mov  x0, #0
exit:   mov  x8, #93                    // exit
        svc  #0
