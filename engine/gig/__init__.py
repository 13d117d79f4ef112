"""The gig: a night played through segue, judged by what other JACK clients heard."""
