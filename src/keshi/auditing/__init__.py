"""What a release gives away and what it is good for; takes the output of any system."""
